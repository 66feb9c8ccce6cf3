"""How the tenant misbehaves when it is asked to."""
