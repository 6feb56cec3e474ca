"""`make fuzz`: what careless and hostile clients may send, made from the API document or raw on the wire."""
