"""Who teaches: experts by architecture, epoch by epoch."""
