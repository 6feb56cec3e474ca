"""`make demo`: a drop with a simulated crowd, to be watched beside the storefront."""
