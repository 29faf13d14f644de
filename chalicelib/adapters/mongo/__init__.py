"""SlideAtlas' MongoDB. Documents are those of SlideAtlas; the sub-document `slidehook` of images and views belongs to
Slidehook, and SlideAtlas' server ignores it."""
