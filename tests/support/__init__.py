"""Builders, doubles and the test broker: what tests of several folders share."""
