"""Recommendation: which item does a user take next?"""
