"""Voice activity detection: is there speech in a clip?"""
