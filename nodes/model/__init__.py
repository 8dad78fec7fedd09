"""Models: asked in forms that their endpoint takes, counted, waited for, bounded."""
