"""captioner: says in a sentence what a photograph shows.

The command line is the program itself: ``captioner predict photos/``, or ``python -m captioner predict photos/``.
From Python, the classes of clip-text-decoder run over it:

    from captioner import ImageCaptionInferenceModel

    model = ImageCaptionInferenceModel.load("model.pt")
    print(model("photo.jpg", beam_size=4))

A model keeps one process of captioner, which holds the weights and ends with the model or with Python.
"""

from captioner._process import CaptionerError
from captioner.model import ClipDecoderInferenceModel, DecoderInferenceModel, ImageCaptionInferenceModel

__all__ = ["CaptionerError", "ClipDecoderInferenceModel", "DecoderInferenceModel", "ImageCaptionInferenceModel"]
