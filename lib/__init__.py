"""Holdfast's system: what every function in api/ and scheduled/ is made of."""
