"""Tests of the Python package as it is installed: python -m unittest discover -s scripts/dist/python/tests

They need examples/ and models/captioner/testdata of the repository. CAPTIONER_PROGRAM names another program than the
package's own.
"""

from __future__ import annotations

import concurrent.futures
import gc
import json
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import captioner
from captioner import CaptionerError, ClipDecoderInferenceModel, DecoderInferenceModel, ImageCaptionInferenceModel
from captioner import _image, _program

ROOT = pathlib.Path(__file__).resolve().parents[4]
PHOTOS = sorted((ROOT / "examples").glob("*.jpg"))


def predict(*arguments):
    """What the command line says: a caption for each image."""
    done = subprocess.run(
        [_program.program(), "predict", "--json", "-q", *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        env=_program.environment(),
    )
    return [json.loads(line)["caption"] for line in done.stdout.splitlines()]


def running(model):
    return model._process._running._process


class BuiltIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = ImageCaptionInferenceModel()
        cls.want = predict(*PHOTOS)

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def test_paths(self):
        self.assertEqual(self.model(str(PHOTOS[0])), self.want[0])
        self.assertEqual(self.model(PHOTOS[1]), self.want[1])

    def test_bytes(self):
        self.assertEqual(self.model(PHOTOS[0].read_bytes()), self.want[0])

    def test_many_in_their_order(self):
        self.assertEqual(self.model.captions(PHOTOS), self.want)

    def test_from_several_threads(self):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertEqual(list(pool.map(self.model, PHOTOS * 3)), self.want * 3)

    def test_settings(self):
        want = predict("--beam-size", 1, "--max-len", 6, PHOTOS[0])[0]
        self.assertEqual(self.model(PHOTOS[0], max_len=6, beam_size=1), want)
        self.assertEqual(self.model(PHOTOS[0], 6, 1), want)

    def test_what_cannot_be_captioned(self):
        with self.assertRaises(FileNotFoundError):
            self.model("nowhere.jpg")
        with self.assertRaises(CaptionerError):
            self.model(b"no image")
        with self.assertRaises(TypeError):
            self.model(3)
        with self.assertRaises(CaptionerError) as e:
            self.model(PHOTOS[0], beam_size=0)
        self.assertIn("beam_size", str(e.exception))
        self.assertEqual(self.model(PHOTOS[0]), self.want[0])  # and it goes on

    def test_pillow(self):
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("Pillow is not installed")
        image = Image.open(PHOTOS[0])
        self.assertEqual(self.model(image), self.want[0])
        for mode in ("L", "P", "RGBA", "CMYK", "YCbCr", "1", "LA"):
            self.assertTrue(self.model(image.convert(mode)), mode)

    def test_arrays(self):
        try:
            import numpy
            from PIL import Image
        except ImportError:
            self.skipTest("numpy or Pillow is not installed")
        a = numpy.asarray(Image.open(PHOTOS[0]).convert("RGB"))
        self.assertEqual(self.model(a), self.want[0])
        gray = numpy.ascontiguousarray(a[:, :, 0])
        self.assertEqual(self.model(gray), self.model(Image.fromarray(gray)))
        self.assertTrue(self.model(a[::2, ::-1]))  # a view
        for wrong in (a.astype(numpy.float32), a[:, :, :2], a[0, 0], a[:0]):
            with self.assertRaises(ValueError):
                self.model(wrong)

    def test_device(self):
        self.assertEqual(self.model.device, "cpu")
        before = running(self.model).pid
        self.assertIs(self.model.to("cpu"), self.model)
        self.assertEqual(running(self.model).pid, before)
        with self.assertRaises(CaptionerError):
            self.model.to("cuda:63")
        self.assertEqual(self.model(PHOTOS[0]), self.want[0])

    def test_pickled(self):
        with pickle.loads(pickle.dumps(self.model)) as again:
            self.assertEqual(again(PHOTOS[0]), self.want[0])


class Life(unittest.TestCase):
    def test_ends_with_the_model(self):
        model = ImageCaptionInferenceModel()
        process, folder = running(model), model._process._running._folder
        del model
        gc.collect()
        self.assertIsNotNone(process.poll())
        self.assertFalse(os.path.exists(folder))

    def test_closed(self):
        with ImageCaptionInferenceModel() as model:
            process = running(model)
        self.assertIsNotNone(process.poll())
        with self.assertRaises(CaptionerError):
            model(PHOTOS[0])

    def test_starts_anew(self):
        with ImageCaptionInferenceModel() as model:
            want = model(PHOTOS[0])
            running(model).kill()
            running(model).wait()
            self.assertEqual(model(PHOTOS[0]), want)

    def test_ends_with_python_killed(self):
        code = (
            "import captioner, sys, time; m = captioner.ImageCaptionInferenceModel(); "
            "print(m._process._running._process.pid, flush=True); time.sleep(60)"
        )
        parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        for _ in range(100):
            try:
                with open(f"/proc/{pid}/stat") as f:
                    if f.read().rsplit(")", 1)[1].split()[0] == "Z":  # nobody may be there to bury it
                        return
            except FileNotFoundError:
                return
            time.sleep(0.1)
        self.fail("the process is still there")

    def test_in_a_fork(self):
        with ImageCaptionInferenceModel() as model:
            want = model(PHOTOS[0])
            child = os.fork()
            if child == 0:
                os._exit(0 if model(PHOTOS[0]) == want else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            gc.collect()
            self.assertEqual(model(PHOTOS[0]), want)

    def test_no_model(self):
        for path, said in (("nowhere.pt", "no such file"), (__file__, "neither")):
            with self.assertRaises(CaptionerError) as e:
                ImageCaptionInferenceModel.load(path)
            self.assertIn(said, str(e.exception))


class OfClipTextDecoder(unittest.TestCase):
    """A small decoder that clip-text-decoder trained and saved, and what it said itself."""

    FOLDER = ROOT / "models" / "captioner" / "testdata" / "original"

    @classmethod
    def setUpClass(cls):
        cls.want = json.loads((cls.FOLDER / "want.json").read_text())

    def test_embeddings(self):
        embeddings, beams = self.want["embeddings"], self.want["beams"]
        with ClipDecoderInferenceModel.load(self.FOLDER / "model_1.4.pt") as model:
            self.assertIsInstance(model, DecoderInferenceModel)
            self.assertEqual([model(x) for x in embeddings], beams["1"]["captions"])
            self.assertEqual([model(x, beam_size=3) for x in embeddings[:5]], beams["3"]["captions"][:5])
            with self.assertRaises(CaptionerError):
                model([1.0] * 10000)
            with self.assertRaises(CaptionerError):
                model([])
            try:
                import torch
            except (ImportError, OSError):  # its libraries for GPUs are not there
                return
            x = torch.tensor(embeddings[0])
            for form in (x, x.reshape(1, 1, -1), x.numpy(), x.double(), x[None].requires_grad_()):
                self.assertEqual(model(form), beams["1"]["captions"][0])

    def test_images(self):
        with ImageCaptionInferenceModel.load(
            self.FOLDER / "model_1.4.pt", encoder=str(self.FOLDER / "clip.pt")
        ) as model:
            for name, captions in self.want["photographs"].items():
                self.assertEqual(model(ROOT / name), captions["1"], name)
                self.assertEqual(model(ROOT / name, beam_size=4), captions["4"], name)

    def test_images_of_pillow(self):
        try:
            from PIL import Image
        except ImportError:
            self.skipTest("Pillow is not installed")
        with ImageCaptionInferenceModel.load(
            self.FOLDER / "model_1.4.pt", encoder=str(self.FOLDER / "clip.pt")
        ) as model:
            for name, want in json.loads((self.FOLDER / "modes.json").read_text()).items():
                with Image.open(ROOT / name) as image:
                    self.assertEqual(model(image), want["captions"]["1"], f"{name}: {image.mode}")

    def test_another_device_opens_it_again(self):
        with ClipDecoderInferenceModel.load(self.FOLDER / "model_1.4.pt") as model:
            self.assertEqual(model.to("cpu")(self.want["embeddings"][0]), self.want["beams"]["1"]["captions"][0])

    def test_saved(self):
        name, captions = next(iter(self.want["photographs"].items()))
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "copy.safetensors")  # holds the encoder too
            with ImageCaptionInferenceModel.load(
                self.FOLDER / "model_1.4.pt", encoder=str(self.FOLDER / "clip.pt")
            ) as model:
                model.save(copy)
            with ImageCaptionInferenceModel.load(copy) as model:
                self.assertEqual(model(ROOT / name, beam_size=4), captions["4"])

    def test_pretrained_that_is_here(self):
        model = ClipDecoderInferenceModel.download_pretrained(self.FOLDER / "model_1.4.pt")
        self.assertEqual(model(self.want["embeddings"][0]), self.want["beams"]["1"]["captions"][0])


class Images(unittest.TestCase):
    def test_png(self):
        try:
            import io

            import numpy
            from PIL import Image
        except ImportError:
            self.skipTest("numpy or Pillow is not installed")
        for shape in ((3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4), (1, 1, 3)):
            a = numpy.arange(numpy.prod(shape), dtype=numpy.uint8).reshape(shape)
            got = numpy.asarray(Image.open(io.BytesIO(_image.encode(a))))
            self.assertTrue((got == a.reshape(got.shape)).all(), shape)


class CommandLine(unittest.TestCase):
    def test_module(self):
        out = subprocess.run(
            [sys.executable, "-m", "captioner", "version", "--json"], check=True, stdout=subprocess.PIPE
        ).stdout
        self.assertIn("captioner", json.loads(out))

    def test_exit_code(self):
        done = subprocess.run([sys.executable, "-m", "captioner", "predict", "--no-such-flag"], stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    unittest.main()
