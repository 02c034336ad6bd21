"""What people and programs see: terminal, log file, JSON. Nothing is decided here."""
