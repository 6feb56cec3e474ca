"""One module a scenario; each has `NAME`, `TITLE` and `run(stack, size, progress) -> Report`."""
