"""Text recognition: what is written in a picture?"""
