"""How distilled sets are laid out in files of others: one function a layout, pictures, tables, our own exports."""
