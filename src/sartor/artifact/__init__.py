"""Opening packages: ELF, device code, wheels, environments, images; read-only and bounded."""
