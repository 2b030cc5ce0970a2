"""How a layer is cut into tiles, and what that makes it access."""
