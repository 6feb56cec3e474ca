select (d.details).*, d.status, d.overdue from get_drop(:drop) d;
