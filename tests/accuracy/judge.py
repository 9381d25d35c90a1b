# SPDX-License-Identifier: GPL-3.0-or-later
"""What was measured against what was true: for every quantity its error, the Cramér-Rao bound, their ratio, how far the
stated sigmas are right, and whether issue 4's goal is met. Reads the same two files as sim-score and shares no code with
it."""
import dataclasses
import math
import operator

import numpy as np

from series import AFTER_JUMP

BEATEN = 0.9            # below it the bound or the test is wrong, unless chance explains it
Z_GOAL = (0.8, 1.25)
SETTLED = 5             # frames after a jump in which a flag is no fault
GATE_BINS = 1.5         # of 1 / field: a measured g belongs to a true one as near
SEPARATE_BINS = 2.0     # of 1 / the width of what shows them: true reflections closer than this are one peak
LEAST_SAMPLES = 20      # of one reflection


@dataclasses.dataclass(frozen=True)
class Kind:
    """One way in which the spots of a frame state their spacing, and the bound that is of it: 3 = the spot's row of
    harmonics, 4 = all waves of the domain sharing two vectors."""
    name: str
    value: str = "d_nm"
    sigma: str = "sigma_d_nm"
    bound: int = 3
    is_filtered: bool = False  # over frames: it may be below the bound of one frame


SPOT = Kind("d")
SUM = Kind("sum: d")
LATTICE = Kind("d by the lattice", "d_lattice_nm", "sigma_d_lattice_nm", 4)
TRACK = Kind("d filtered", "d_track_nm", "sigma_d_track_nm", 4, True)


@dataclasses.dataclass
class Quantity:
    """One number of one series. verdict: ok, MISS, BEATEN, or - where there is no goal."""
    series: str
    name: str
    value: float
    goal: str = ""
    verdict: str = "-"
    error: float = math.nan
    bound: float = math.nan
    z: float = math.nan
    count: int = 0


def rms(values):
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else math.nan


def drift_limit(series):
    """Of the ratio to the bound; None: no goal (doses too low for one frame, rows that do not move as one)."""
    if series.dose < 2.0 or series.scanned:
        return None
    kind = series.specimen.removesuffix("-nofilm")
    if kind in ("swelling", "coexisting"):
        return 2.0
    return 1.5 if kind in ("lattice", "fading", "honeycomb") or series.dose <= 2.0 else 1.25


class Judge:
    """All quantities of a series; `slack` widens every goal, for series too short to know a ratio well."""

    def __init__(self, series, header, truth, measured, slack=1.0):
        self.series, self.header, self.truth, self.measured, self.slack = series, header, truth, measured, slack
        self.out = []

    def judge(self):
        self._drift()
        self._reflections()
        return self.out

    def _tell(self, name, value, goal=None, **more):
        """goal: (operator, limit) or (low, high)"""
        text, verdict = "", "-"
        if goal is not None:
            if goal[0] in (operator.le, operator.ge):
                text = f"{'<=' if goal[0] is operator.le else '>='} {goal[1]:.4g}"
                good = goal[0](value, goal[1])
            else:
                text, good = f"{goal[0]:.3g} to {goal[1]:.3g}", goal[0] <= value <= goal[1]
            verdict = "ok" if good else "MISS"
        self.out.append(Quantity(self.series.name, name, float(value), text, verdict, **more))
        return self.out[-1]

    def _tell_ratio(self, name, errors, bounds, limit):
        """Errors in units of their bound. A ratio that chance cannot have brought below 0.9 is an error of the test."""
        ratio = rms(errors) / rms(bounds)
        told = self._tell(name, ratio, None if limit is None else (operator.le, limit * self.slack),
                          error=rms(errors), bound=rms(bounds), count=len(errors))
        if ratio * (1 + 2 / math.sqrt(2 * max(1, len(errors)))) < BEATEN:
            told.verdict = "BEATEN"

    def _z_goal(self):
        return Z_GOAL[0] / self.slack, Z_GOAL[1] * self.slack

    # --- drift --------------------------------------------------------------------------------------

    def _drift(self):
        frames = [n for n in sorted(self.measured) if n > 0 and "lost" not in self.measured[n]]
        said = [self.measured[n] for n in frames]
        error = np.array([np.subtract(m["drift_px"], self.truth[n]["drift_px"]) for n, m in zip(frames, said)])
        sigma = np.array([m["sigma_drift_px"] for m in said])
        sys = np.array([m.get("sigma_drift_sys_px") or [0.0, 0.0] for m in said])
        flagged = np.array([m["drift_state"] != "locked" or m["cell_ambiguous"] for m in said])
        bound = np.array([self._bound_drift(n) for n in frames])
        locked = ~flagged
        if locked.sum() < 2:
            self._tell("locked share", float(locked.mean()), (operator.ge, 0.98))
            return
        error = error - np.median(error[locked], axis=0)  # frame 0's own error is in all
        changes = self.series.specimen == "swelling" or self.series.specimen == "coexisting"
        since = np.array([n % AFTER_JUMP if self.series.drift == "jumps" and n >= AFTER_JUMP else n for n in frames])
        # What a jump brought into the field is in no template yet, so no estimate can reach the bound at once.
        known = locked if self.series.drift != "jumps" else locked & (since > SETTLED)
        for axis, label in enumerate("xy"):
            self._tell_ratio(f"drift {label}", error[known, axis], bound[known, axis], None)
            self.out[-1].z = rms(error[locked, axis] / sigma[locked, axis])
        self._tell_ratio("drift", error[known].ravel(), bound[known].ravel(), drift_limit(self.series))
        judged = self.series.dose >= 2.0
        z = rms((error[locked] / sigma[locked]).ravel())
        self._tell("drift z", z, self._z_goal() if judged and not changes and not self.series.scanned else None, z=z)
        if changes:  # the lattice may take the match along; that is stated apart
            z = rms((error[locked] / np.hypot(sigma, sys)[locked]).ravel())
            self._tell("drift z, sys included", z, (operator.le, Z_GOAL[1] * self.slack) if judged else None, z=z)
        hops = np.hypot(*error.T) > [self._half_cell_px(n) for n in frames]
        self._tell("unflagged hops", float((hops & locked).sum()), (operator.le, 0), count=len(frames))
        if self.series.drift == "jumps":
            late = since > SETTLED
            self._tell("flagged late after jumps", float(flagged[late].mean()), (operator.le, 0.01) if judged else None,
                       count=int(late.sum()))
        else:
            self._tell("locked share", float(locked.mean()),
                       (operator.ge, 0.98) if judged and self.series.has_film else None, count=len(frames))

    def _bound_drift(self, frame):
        while "bound_drift_px" not in self.truth[frame]:
            frame -= 1
        return self.truth[frame]["bound_drift_px"]

    def _half_cell_px(self, frame):
        shortest = min((r["d_nm"] for r in self.truth[frame]["reflections"] if r["visible"]), default=math.inf)
        return 0.5 * shortest / self.header["pixel_size_nm"]

    # --- reflections --------------------------------------------------------------------------------

    def _reflections(self):
        frames = [(n, entry.get("spots", ()), 1) for n, entry in self.measured.items()]
        for kind in (SPOT, LATTICE, TRACK):
            tracks = self._tracks(frames, kind)
            if tracks or kind is SPOT:
                self._tell_tracks(kind, tracks)
        sums = [entry["sum"] for entry in self.measured.values() if entry.get("sum")]
        if sums:
            self._tell_tracks(SUM, self._tracks([(round(one["effective_seq"]), one["spots"], one["frames_added"])
                                                 for one in sums], SUM), least=LEAST_SAMPLES // 2)

    def _tracks(self, pictures, kind):
        """Samples of one spot id that belong to one true reflection: (relative error, sigma, sys, bound, bound of the
        lattice, amplitude over the true one, said to be more than one crystal's).
        pictures: (the frame whose truth holds, spots, frames added)."""
        tracks, bounds = {}, self._bounds_by_frame()
        for n, spots, added in pictures:
            true = [r for r in self.truth[n]["reflections"] if r["visible"] or added > 1]
            part = {domain["name"]: max(1e-3, domain["fraction"]) for domain in self.truth[n]["domains"]}
            for spot in spots:
                r = self._match(true, spot, part) if spot["confirmed"] and spot.get(kind.value) else None
                if r is None or (key := (r["domain"], tuple(r["hkl"]))) not in bounds[n]:
                    continue
                tracks.setdefault((key, spot["id"]), []).append(
                    (spot[kind.value] / r["d_nm"] - 1, (spot[kind.sigma] or math.nan) / r["d_nm"],
                     (spot["sigma_d_sys_nm"] or 0.0) / r["d_nm"], *np.divide(bounds[n][key], math.sqrt(added)),
                     spot["amplitude"] * self._mean_level(n) / r["amplitude"], spot.get("overlapped", False)))
        return tracks

    def _bounds_by_frame(self):
        """{frame: {(domain, hkl): relative bounds of d}}: those told last."""
        last, out = {}, {}
        for n in sorted(self.truth):
            for r in self.truth[n]["reflections"]:
                if "bound_d_nm" in r:
                    last[r["domain"], tuple(r["hkl"])] = [r[name] / r["d_nm"] if name in r else math.nan
                                                          for name in ("bound_d_nm", "bound_d_lattice_nm")]
            out[n] = dict(last)
        return out

    def _match(self, true, spot, part):
        """The reflection the spot is, or None; part: of the field, by domain."""
        gate = GATE_BINS * self._bin()

        def apart(a, b):
            return min(math.dist(a, b), math.dist(a, [-b[0], -b[1]]))
        near = min(true, key=lambda r: apart(r["g_per_nm"], spot["g_per_nm"]), default=None)
        if near is None or apart(near["g_per_nm"], spot["g_per_nm"]) > gate:
            return None
        # A domain that fills a part of the field shows peaks wider by so much.
        width = gate * SEPARATE_BINS / GATE_BINS
        disturbed = any(other is not near and other["amplitude"] > 0.1 * near["amplitude"]
                        and apart(other["g_per_nm"], near["g_per_nm"]) < width / min(part[near["domain"]], part[other["domain"]])
                        for other in true)
        return None if disturbed else near

    def _tell_tracks(self, kind, tracks, least=LEAST_SAMPLES):
        tracks = {key: np.array(samples, float) for key, samples in tracks.items() if len(samples) >= least}
        # Single frames below 2 e/px have no goal; their sum has.
        judged = (self.series.dose >= 2.0 or kind is SUM) and not kind.is_filtered
        if not tracks:
            # Where two domains share the field, none may be far enough from its like in the other one.
            alone = self.series.specimen not in ("strained", "coexisting")
            self._tell(f"{kind.name}: reflections", 0, (operator.ge, 1) if alone and judged else None)
            return
        ratios, zs, total_zs, offsets, in_sys, amplitudes = [], [], [], [], [], []
        for ((domain, hkl), spot_id), samples in sorted(tracks.items()):
            relative, sigma, sys, amplitude, overlapped = samples.T[[0, 1, 2, 5, 6]]
            bound = samples.T[kind.bound]
            offset = float(np.median(relative))
            random = relative - offset
            # The median of n has its own error; an offset below three of them is none.
            noise = 1.25 * rms(random) / math.sqrt(len(random))
            # Two crystals' mean has no bound. A superlattice's has, that of its whole row with the lattice's own strong
            # reflection in it; what is asked of it is to be seen, and it is told apart.
            if overlapped.mean() < 0.5 and not hkl[0] % 1:
                ratios.append(random / bound)
                zs.append(random / sigma)
                total_zs.append(random / np.hypot(sigma, sys))
                amplitudes.append(float(np.median(amplitude)))
            offsets.append(max(0.0, abs(offset) - 3 * noise))
            in_sys.append(offset / math.hypot(np.median(sys), noise))
            label = f"{kind.name} {domain} {index_text(hkl)} #{spot_id}"
            self._tell(label, rms(random) / rms(bound), error=rms(random), bound=rms(bound), z=rms(random / sigma),
                       count=len(random))
            self._tell(f"{label} offset", offset, error=offset, bound=float(np.median(sys)))
            self._tell(f"{label} amplitude", float(np.median(amplitude)))
        changes = self.series.specimen in ("swelling", "coexisting")
        if ratios:
            # How well the velocity of a scanned frame is known is in the systematic sigma; the bound takes it for known.
            scanned = self.series.scanned
            self._tell_random(kind, np.concatenate(ratios), np.concatenate(zs), judged and not scanned,
                              judged and not scanned and not (changes and self.series.has_film))
            if scanned and kind is SPOT:
                z = rms(np.concatenate(total_zs))
                self._tell("d z, sys included", z, (operator.le, Z_GOAL[1] * self.slack) if judged else None, z=z)
        if not self.series.has_film:
            self._tell(f"{kind.name} offset, largest", max(offsets), (operator.le, 1e-4) if judged else None)
        elif not changes:
            # Of a lattice no systematic sigma is stated by spot: its spots' own is shown beside it.
            states_it = judged and kind is not LATTICE
            self._tell(f"{kind.name} offset over sigma_d_sys", rms(in_sys),
                       (operator.le, 1.0 * self.slack) if states_it else None, count=len(in_sys))
        if kind in (SPOT, SUM) and amplitudes:
            self._tell(f"{kind.name} amplitude over the true one", float(np.median(amplitudes)), count=len(amplitudes))
        if kind is SPOT and self.series.specimen == "honeycomb":
            self._tell_superlattice()

    def _tell_random(self, kind, ratios, zs, judges_ratio, judges_z):
        if kind.is_filtered:
            self._tell(f"{kind.name} random, over a frame's bound", rms(ratios), count=len(ratios))
        elif np.isfinite(ratios).all():
            self._tell_ratio(f"{kind.name} random", ratios, np.ones(len(ratios)), 1.5 if judges_ratio else None)
        self._tell(f"{kind.name} z", rms(zs), self._z_goal() if judges_z else None, z=rms(zs))

    def _tell_superlattice(self):
        """Share of the frames whose superlattice the truth calls visible in which a confirmed spot is it; and what is
        said of its predicted places, without a search: the amplitude where there is a wave, noise where there is none."""
        seen = wanted = 0
        errors, nothing = [], []
        for n, entry in self.measured.items():
            true = self.truth[n]["reflections"]
            weak = [r for r in true if r["visible"] and r["hkl"][0] % 1]
            wanted += len(weak)
            seen += sum(any(s["confirmed"] and self._match([r], s, {r["domain"]: 1.0}) for s in entry.get("spots", ()))
                        for r in weak)
            for place in entry.get("superlattice") or ():
                near = self._match([r for r in true if r["amplitude"] > 0], place, {r["domain"]: 1.0 for r in true})
                if near is not None and place["sigma_amplitude"]:
                    true_amplitude = near["amplitude"] / self._mean_level(n)
                    errors.append((place["amplitude"] - true_amplitude) / place["sigma_amplitude"])
                elif near is None and all(math.dist(r["g_per_nm"], place["g_per_nm"]) > 4 * self._bin() for r in true):
                    nothing.append(place["snr"])
        if wanted:
            self._tell("superlattice seen", seen / wanted, count=wanted)
        if errors:
            self._tell("superlattice amplitude z", rms(errors), z=rms(errors), count=len(errors))
        if nothing:
            self._tell("superlattice snr of nothing", rms(nothing), z=rms(nothing), count=len(nothing))

    def _bin(self):
        """1 / field, 1/nm."""
        return 1 / (self.header["pixel_size_nm"] * min(self.header["width"], self.header["height"]))

    def _mean_level(self, frame):
        """Mean intensity in units of the vacuum's."""
        counts = self.measured[frame].get("mean_counts", math.nan)
        return counts / (self.header["gain_adu_per_e"] * self.header["dose_e_per_px"])


def index_text(hkl):
    """00-2; thirds and halves as decimals."""
    return "".join(f"{i:g}" if i == int(i) else f"({i:.2f})" for i in hkl)


def compare_seeds(quantities):
    """The same series with another seed gives about the same: else a number is not the pipeline's own."""
    ratios = {q.series: q for q in quantities if q.name == "drift"}
    out = []
    for name, other in ratios.items():
        first = ratios.get(name.rsplit("/seed", 1)[0])
        if first is None or first is other:
            continue
        chance = math.hypot(1 / math.sqrt(2 * first.count), 1 / math.sqrt(2 * other.count))
        limit = 0.1 + 3 * chance
        apart = abs(math.log(other.value / first.value))
        out.append(Quantity(name, "drift, against the other seed", apart, f"<= {limit:.3g}", "ok" if apart <= limit else "MISS"))
    return out
