"""Makes the DICOM files of this folder with tools that share no code with the reader.

Run as: /usr/bin/python3 make.py  (Debian 12: python3-pydicom 2.3.1, numpy 1.24.2, dcmtk 3.6.7)

Every ct_*.dcm holds the same 24 x 16 image unless said otherwise: the stored
sample of column x, row y is (37 x + 101 y + x y) mod 3000, slope 1, intercept
-1024, unsigned. syntaxes.json says of each file what it is and what reading it
must give.
"""

import json
import os
import struct
import subprocess

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixel_data_handlers.numpy_handler import pack_bits
from pydicom.sequence import Sequence

COLS, ROWS = 24, 16
y, x = numpy.mgrid[0:ROWS, 0:COLS]
SAMPLES = ((37 * x + 101 * y + x * y) % 3000).astype(numpy.uint16)
EXPLICIT = "1.2.840.10008.1.2.1"


def base(sop_class, instance):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.MediaStorageSOPClassUID = sop_class
    d.file_meta.MediaStorageSOPInstanceUID = instance
    d.file_meta.ImplementationClassUID = "2.25.1"
    d.file_meta.TransferSyntaxUID = EXPLICIT
    d.SpecificCharacterSet = "ISO_IR 192"
    d.SOPClassUID, d.SOPInstanceUID = sop_class, instance
    d.PatientID = d.PatientName = "MADE-1"
    d.StudyInstanceUID, d.SeriesInstanceUID, d.FrameOfReferenceUID = "2.25.10", "2.25.11", "2.25.12"
    return d


def ct(samples=SAMPLES, stored=16, signed=0, intercept="-1024"):
    d = base("1.2.840.10008.5.1.4.1.1.2", "2.25.100")
    d.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    d.Modality, d.Manufacturer, d.InstanceNumber = "CT", "make.py", 1
    d.ImagePositionPatient = [-10.5, 20, -30]
    d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows, d.Columns = samples.shape
    d.PixelSpacing = ["0.8", "0.9"]
    d.BitsAllocated, d.BitsStored, d.HighBit = 8 * samples.itemsize, stored, stored - 1
    d.PixelRepresentation = signed
    d.RescaleIntercept, d.RescaleSlope = intercept, "1"
    d.PixelData = samples.tobytes()
    d["PixelData"].VR = "OW" if samples.itemsize == 2 else "OB"
    d.is_little_endian, d.is_implicit_VR = True, False
    return d


def save(d, name):
    d.save_as(name, write_like_original=False)


def run(*command):
    subprocess.run(command, check=True)


made = {}


def note(name, how, gives="image"):
    made[name] = {"how": how, "gives": gives}


plain = ct()
save(plain, "ct_explicit.dcm")
note("ct_explicit.dcm", "pydicom 2.3.1, explicit VR little endian")

for name, option, what in [
    ("ct_implicit.dcm", "+ti", "implicit VR little endian"),
    ("ct_bigendian.dcm", "+tb", "explicit VR big endian"),
    ("ct_deflated.dcm", "+td", "deflated explicit VR little endian"),
]:
    run("dcmconv", option, "ct_explicit.dcm", name)
    note(name, "dcmtk 3.6.7, dcmconv %s: %s" % (option, what))

run("dcmcrle", "ct_explicit.dcm", "ct_rle.dcm")
note("ct_rle.dcm", "dcmtk 3.6.7, dcmcrle: RLE lossless")
run("dcmcjpeg", "+e1", "ct_explicit.dcm", "ct_lossless_sv1.dcm")
note("ct_lossless_sv1.dcm", "dcmtk 3.6.7, dcmcjpeg +e1: JPEG lossless, selection value 1 (1.2.840.10008.1.2.4.70)")
for sv in range(1, 8):
    name = "ct_lossless_p14_%d.dcm" % sv
    run("dcmcjpeg", "+el", "+sv", str(sv), "ct_explicit.dcm", name)
    note(name, "dcmtk 3.6.7, dcmcjpeg +el +sv %d: JPEG lossless, process 14 (1.2.840.10008.1.2.4.57)" % sv)
run("dcmcjpls", "ct_explicit.dcm", "ct_jpegls.dcm")
note("ct_jpegls.dcm", "dcmtk 3.6.7, dcmcjpls: JPEG-LS lossless", "SyntaxError")

# Signed samples, two's complement, intercept 0.
signed = ct((SAMPLES.astype(numpy.int32) - 1024).astype(numpy.int16), signed=1, intercept="0")
save(signed, "ct_signed.dcm")
note("ct_signed.dcm", "pydicom 2.3.1, signed samples, intercept 0")
run("dcmcjpeg", "+e1", "ct_signed.dcm", "ct_lossless_signed.dcm")
note("ct_lossless_signed.dcm", "dcmtk 3.6.7, dcmcjpeg +e1 of signed samples")

# 12 bits stored; an old overlay lives in the upper four.
save(ct(SAMPLES | ((x + y) % 16 << 12).astype(numpy.uint16), stored=12), "ct_overlay_bits.dcm")
note("ct_overlay_bits.dcm", "pydicom 2.3.1, 12 bits stored, other data in the upper 4")

# 12 bits stored, signed, sign only within the 12: the upper four are zero.
narrow = ((SAMPLES.astype(numpy.int32) - 1024) & 0x0FFF).astype(numpy.uint16)
save(ct(narrow, stored=12, signed=1, intercept="0"), "ct_signed12.dcm")
note("ct_signed12.dcm", "pydicom 2.3.1, 12 bits stored and signed, upper bits zero")

# 8 bits. HU are (x + 3 y) mod 256 - 1024; the JPEG one is lossy.
eight = ct(((x + 3 * y) % 256).astype(numpy.uint8), stored=8)
save(eight, "ct_8bit.dcm")
note("ct_8bit.dcm", "pydicom 2.3.1, 8 bits", "8 bit")
run("dcmconv", "+tb", "ct_8bit.dcm", "ct_8bit_bigendian.dcm")
note("ct_8bit_bigendian.dcm", "dcmtk 3.6.7, dcmconv +tb: 8 bits as OB, explicit VR big endian", "8 bit")
words = ct(((x + 3 * y) % 256).astype(numpy.uint8), stored=8)
words["PixelData"].VR = "OW"
save(words, "/tmp/ct_8bit_words.dcm")
run("dcmconv", "+tb", "/tmp/ct_8bit_words.dcm", "ct_8bit_words.dcm")
note("ct_8bit_words.dcm", "dcmtk 3.6.7, dcmconv +tb: 8 bits as OW, explicit VR big endian", "8 bit")
run("dcmcjpeg", "+eb", "+q", "95", "ct_8bit.dcm", "ct_baseline.dcm")
run("dcmdjpeg", "ct_baseline.dcm", "/tmp/ct_baseline_decoded.dcm")
note("ct_baseline.dcm", "dcmtk 3.6.7, dcmcjpeg +eb +q 95: JPEG baseline", "8 bit lossy")
made["ct_baseline.dcm"]["samples"] = pydicom.dcmread("/tmp/ct_baseline_decoded.dcm").pixel_array.flatten().tolist()

# Private data as scanners write it: in an implicit file, a private sequence of
# undefined length, whose representation no dictionary knows.
private = ct()
block = private.private_block(0x0029, "MAKE", create=True)
item = Dataset()
item.add_new(0x00291010, "LO", "inner")
block.add_new(0x10, "SQ", Sequence([item]))
private["0029", "1010"].is_undefined_length = True
item.is_undefined_length_sequence_item = True
private.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
private.is_implicit_VR = True
save(private, "ct_private_sequence.dcm")
note("ct_private_sequence.dcm", "pydicom 2.3.1, implicit, a private sequence of undefined length before the image")

# What a converter that knows no dictionary makes of an implicit file: UN everywhere.
raw = open("ct_explicit.dcm", "rb").read()
for keyword in ["PatientID", "ImagePositionPatient", "PixelSpacing", "Rows", "Columns", "RescaleSlope"]:
    e = plain[keyword]
    head = struct.pack("<HH", e.tag.group, e.tag.element) + e.VR.encode()
    at = raw.index(head)
    (length,) = struct.unpack_from("<H", raw, at + 6)
    raw = raw[:at] + head[:4] + b"UN" + struct.pack("<HI", 0, length) + raw[at + 8:]
with open("ct_un.dcm", "wb") as out:
    out.write(raw)
note("ct_un.dcm", "ct_explicit.dcm with several elements written as UN")

# A segmentation: 5 frames of 24 x 16 bits. Segment 1 "Lesion" on planes z = -25, -22.5, -17.5 (one plane is
# empty and so not in the file), segment 2 "Other" on -25 and -22.5. Bit x, y of frame f is set where
# (x + 2 y + 3 f) mod 7 < 3 and x > 2.
seg = base("1.2.840.10008.5.1.4.1.1.66.4", "2.25.300")
seg.Modality = "SEG"
seg.SeriesInstanceUID = "2.25.31"
ref = Dataset()
ref.SeriesInstanceUID = "2.25.11"
seg.ReferencedSeriesSequence = Sequence([ref])
seg.SamplesPerPixel, seg.PhotometricInterpretation = 1, "MONOCHROME2"
seg.Rows, seg.Columns, seg.NumberOfFrames = ROWS, COLS, 5
seg.BitsAllocated, seg.BitsStored, seg.HighBit, seg.PixelRepresentation = 1, 1, 0, 0
seg.SegmentationType = "BINARY"
segments = []
for n, (label, description) in enumerate([("Lesion", "GTV-1"), ("Other", "Spinal-Cord")], 1):
    s = Dataset()
    s.SegmentNumber, s.SegmentLabel, s.SegmentDescription = n, label, description
    s.SegmentAlgorithmType = "MANUAL"
    segments.append(s)
seg.SegmentSequence = Sequence(segments)
measures = Dataset()
measures.PixelSpacing, measures.SpacingBetweenSlices, measures.SliceThickness = ["0.8", "0.9"], "2.5", "2.5"
turn = Dataset()
turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
shared = Dataset()
shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = Sequence([measures]), Sequence([turn])
seg.SharedFunctionalGroupsSequence = Sequence([shared])
groups, frames = [], []
for f, (number, z) in enumerate([(1, -25), (1, -22.5), (1, -17.5), (2, -25), (2, -22.5)]):
    identity, position, group = Dataset(), Dataset(), Dataset()
    identity.ReferencedSegmentNumber = number
    position.ImagePositionPatient = [-10.5, 20, z]
    group.SegmentIdentificationSequence, group.PlanePositionSequence = Sequence([identity]), Sequence([position])
    groups.append(group)
    frames.append(((x + 2 * y + 3 * f) % 7 < 3) & (x > 2))
seg.PerFrameFunctionalGroupsSequence = Sequence(groups)
seg.PixelData = pack_bits(numpy.stack(frames).astype(numpy.uint8).flatten())
seg["PixelData"].VR = "OB"
seg.is_little_endian, seg.is_implicit_VR = True, False
save(seg, "seg.dcm")
run("dcmconv", "+tb", "seg.dcm", "seg_bigendian.dcm")

with open("syntaxes.json", "w") as out:
    json.dump({"source": __doc__.strip(), "files": made}, out, indent=1)
    out.write("\n")
for f in os.listdir("."):
    if f.endswith(".dcm"):
        print(f, os.path.getsize(f))
