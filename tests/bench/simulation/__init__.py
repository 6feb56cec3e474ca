"""A discrete-event simulation of drops that this machine cannot hold, on service times that it measured."""
