"""The second grade, *loads*: modules are imported, libraries opened, device code handed over."""
