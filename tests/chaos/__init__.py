"""`make chaos`: buyers in a storm of killed, frozen and cut-off parts. docs/RELIABILITY.md has a run."""
