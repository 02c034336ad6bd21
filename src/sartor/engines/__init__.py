"""One module and one facts file per engine: what it is declared to need, and how it is started."""
