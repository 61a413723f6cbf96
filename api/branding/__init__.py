"""An owner's own name, colours and domain on what people see."""
