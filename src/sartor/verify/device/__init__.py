"""Device code and the driver: what is handed to it at *loads*, and at *launches*."""
