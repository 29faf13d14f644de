"""SlideAtlas' MongoDB. Documents have the format of SlideAtlas. Images and views have an additional sub-document
`slidehook`, which SlideAtlas' server ignores."""
