select (d.details).*, d.status, d.overdue from list_drops('live', 51, 9223372036854775807) d;
