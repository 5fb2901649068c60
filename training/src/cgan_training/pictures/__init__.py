"""Pictures of a run: sample sheets, the animation of them, and training curves."""
