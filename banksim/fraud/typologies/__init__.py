"""The built-in typologies and decoys: one generator function each.  Every module here is loaded."""
