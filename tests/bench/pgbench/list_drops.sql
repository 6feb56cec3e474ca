select json_agg(d) from list_drops('live', 51, 9223372036854775807) d;
