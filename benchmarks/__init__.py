"""Measurements against raw aiokafka; see ``bench``."""
