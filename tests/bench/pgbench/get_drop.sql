select to_json(d) from get_drop(:drop) d;
