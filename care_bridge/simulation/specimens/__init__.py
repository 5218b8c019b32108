"""What fluoresces, described in micrometres: structures in a plane or a volume, that can move.

Each kind is a frozen dataclass of ranges, and places its objects on a Grid.
"""
