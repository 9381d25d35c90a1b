# SPDX-License-Identifier: GPL-3.0-or-later
"""Series with known truth: how the specimen drifts x how many electrons x what it is x how large the frames are, as
scenario files of sim-world. A series is named specimen/drift/dose/size."""
import dataclasses
import math
import random

PERIOD_S = 0.25
PIXEL_NM = 0.03
AFTER_JUMP = 20  # frames from one jump to the next
SPECIMENS = ("particle", "lattice", "fading", "swelling", "coexisting", "strained", "honeycomb", "particle-nofilm",
             "lattice-nofilm")
DRIFTS = ("still", "ramp", "walk", "vibration", "sway", "jumps")
DOSES = (40.0, 20.0, 10.0, 2.0, 0.5)
SIZES = (512, 1024)


@dataclasses.dataclass(frozen=True)
class Series:
    specimen: str
    drift: str
    dose: float          # electrons a raw pixel
    size: int            # raw pixels a side
    frames: int
    seed: int = 1
    bin: int = 1
    scanned: bool = False    # row by row, over nine tenths of the period
    patterned: bool = False  # dark and gain patterns, hot pixels; corrected with references as taken at a microscope

    @property
    def name(self):
        words = {"binned": self.bin > 1, "scanned": self.scanned, "patterned": self.patterned}
        more = "".join(f"/{word}" for word, holds in words.items() if holds)
        return f"{self.specimen}/{self.drift}/{self.dose:g}/{self.size}{more}" + (f"/seed{self.seed}" * (self.seed != 1))

    @property
    def has_film(self):
        return not self.specimen.endswith("-nofilm")

    @property
    def pixel_nm(self):
        return PIXEL_NM / self.bin  # the same field whether binned or not

    @property
    def field_nm(self):
        return self.size * self.pixel_nm

    def jumps(self):
        """[(frame, (x, y) in nm)]: places within a circle an eighth of the field wide, so a jump has up to a quarter."""
        if self.drift != "jumps":
            return []
        draw = random.Random(self.seed)
        here, out = (0.0, 0.0), []
        for frame in range(AFTER_JUMP, self.frames, AFTER_JUMP):
            angle, radius = draw.uniform(0, 2 * math.pi), self.field_nm / 8 * math.sqrt(draw.random())
            there = (radius * math.cos(angle), radius * math.sin(angle))
            out.append((frame, (there[0] - here[0], there[1] - here[1])))
            here = there
        return out

    def scenario(self):
        """TOML for sim-world."""
        parts = [f'name = "{self.name}"\nseed = {self.seed}\nframes = {self.frames}\nframe_period_s = {PERIOD_S}',
                 self._detector(), self._specimen(), self._cell(), self._dose(), self._drift()]
        parts += [f"[[step]]\nt_s = {frame * PERIOD_S}\njump_nm = [{x:.6f}, {y:.6f}]" for frame, (x, y) in self.jumps()]
        return "\n".join(parts) + "\n"

    def more_keys(self):
        """TOML for latticed, beyond what every series has."""
        return ""

    def _detector(self):
        out = (f'[[detector]]\nname = "camera"\nwidth = {self.size}\nheight = {self.size}\n'
               f"pixel_size_nm = {self.pixel_nm}\ndose_e_per_px = {self.dose}\n"
               f"film_contrast = {0.03 if self.has_film else 0.0}\n")
        if self.scanned:
            out += f"scan_line_time_s = {0.9 * PERIOD_S / self.size}\n"
        return out if self.patterned else out + "dark_pattern_adu = 0.0\ngain_pattern_percent = 0.0\nhot_pixels = 0\n"

    def _specimen(self):
        kind = self.specimen.removesuffix("-nofilm")
        whole = kind in ("lattice", "fading", "swelling", "strained", "honeycomb")
        part = self.field_nm / 15.36
        out = '[specimen]\nphase = "P2"\nlayer_normal_deg = 28.0\nrim_nm = 0.7\n'
        out += 'field = "lattice"\n' if whole else f"edges = [[15.0, {4.5 * part:.3f}], [-62.0, {5.5 * part:.3f}]]\n"
        if kind == "honeycomb":  # thirds that fade to nothing over the series, halves that stay
            out += "".join(f"[[specimen.reflection]]\nh = {h}\nl = {l}\namplitude = [[0.0, {c}], [1.0, {end}]]\n"
                           for h, l, c, end in ((1 / 3, 0.0, 0.014, 0.0), (2 / 3, 0.0, 0.010, 0.0), (0.5, 0.0, 0.004, 0.004),
                                                (0.5, 0.5, 0.004, 0.004), (0.5, -0.5, 0.004, 0.004)))
        if kind == "swelling":  # 0.6 % along the layers' normal, -0.3 % across, over the series
            out += "d_layer_nm = [[0.0, 0.55555], [1.0, 0.55888]]\na_nm = [[0.0, 0.28713], [1.0, 0.28627]]\n"
        if kind == "strained":
            out += (f"[specimen.strain_step]\nnormal_deg = 0.0\nposition_nm = {part}\nstrain_percent = 5.0\n"
                    "softness_nm = 0.4\n")
        if kind == "coexisting":  # a front that crosses an eighth of the field over the series
            out += (f'[specimen.transition]\nto = "O2"\nonset_soc = 0.0\ncomplete_soc = 1.0\nfront_normal_deg = 15.0\n'
                    f"front_start_nm = {part}\nfront_end_nm = {-part}\nfront_softness_nm = 1.0\n")
        return out

    def _cell(self):
        begin = {"swelling": 0.0, "honeycomb": 0.0, "coexisting": 0.05}.get(self.specimen)
        if begin is None:
            return ""
        current_a = 1e-6 * (0.98 - begin) / (self.frames * PERIOD_S)
        return (f"[cell]\ncapacity_c = 1e-6\nstate_of_charge = {begin}\nvoltage_limit_v = 9.0\n"
                f"[[step]]\nt_s = 0.0\ncurrent_a = {current_a:.6e}")

    def _dose(self):
        if self.specimen != "fading":
            return ""
        fluence = self.frames * self.dose / self.pixel_nm**2
        return f"[dose]\ncritical_e_per_nm2 = {fluence / 1.5:.6e}"  # to e^-1.5 = 22 % over the series

    def _drift(self):
        px = self.pixel_nm
        return "[drift]\n" + {
            "still": "",
            "ramp": f"rate_nm_per_s = [{0.23 * px / PERIOD_S:.6f}, {-0.14 * px / PERIOD_S:.6f}]",
            "walk": f"walk_nm_per_sqrt_s = {0.7 * px / math.sqrt(PERIOD_S):.6f}",
            "vibration": f"vibration_nm = [{1.3 * px:.6f}, {0.7 * px:.6f}]\nvibration_hz = 1.73",
            # up to 2.0 and 1.0 px a frame, to and fro
            "sway": f"vibration_nm = [{25 * px:.6f}, {12 * px:.6f}]\nvibration_hz = {2 / 25 / PERIOD_S / 2 / math.pi:.6f}",
            "jumps": f"walk_nm_per_sqrt_s = {0.2 * px / math.sqrt(PERIOD_S):.6f}",
        }[self.drift]


def every_series(frames):
    """The whole product."""
    return [Series(specimen, drift, dose, size, frames if drift != "jumps" else 7 * frames)
            for specimen in SPECIMENS for drift in DRIFTS for dose in DOSES for size in SIZES]


def chosen_series(frames):
    """What the release check plays: every kind of drift, dose, specimen and size, not every one with every other.
    Jumps: six series of 7 x frames, above 10 000 frames at the default length."""
    out = [Series("particle", drift, dose, 512, frames) for dose in DOSES for drift in ("still", "ramp", "walk", "vibration")]
    out += [Series(specimen, "walk", dose, 512, frames)
            for specimen in ("lattice", "fading", "swelling", "coexisting", "strained") for dose in (40.0, 20.0, 2.0)]
    out += [Series("lattice", "walk", dose, 512, frames) for dose in (10.0, 0.5)]
    out += [Series("lattice", drift, 20.0, 512, frames) for drift in ("still", "ramp", "vibration")]
    out += [Series("swelling", "still", 20.0, 512, frames)]
    out += [Series(f"{specimen}-nofilm", "walk", dose, 512, frames)
            for specimen in ("particle", "lattice") for dose in (20.0, 2.0)]
    out += [Series(specimen, "walk", 20.0, 1024, frames)
            for specimen in ("particle", "lattice", "swelling", "coexisting", "strained")]
    out += [Series("particle", "walk", dose, 1024, frames) for dose in (40.0, 2.0)]
    out += [Series("particle", "walk", 10.0, 2048, frames // 2, bin=2)]
    out += [Series(specimen, "walk", 20.0, 512, frames, patterned=True) for specimen in ("particle", "lattice")]
    out += [Series(specimen, "sway", 20.0, 512, frames, scanned=True) for specimen in ("particle", "lattice")]
    out += [Series("honeycomb", "walk", 20.0, 512, frames)]
    out += [Series("particle", "walk", dose, 512, frames, seed=77) for dose in (20.0, 2.0)]
    out += [Series("lattice", "walk", 20.0, 512, frames, seed=77)]
    out += [Series(specimen, "jumps", dose, 512, 7 * frames) for specimen in ("particle", "lattice") for dose in (40.0, 20.0, 2.0)]
    return out
