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
    """Of the ratio to the bound; None: no goal (doses too low for one frame)."""
    if series.dose < 2.0:
        return None
    kind = series.specimen.removesuffix("-nofilm")
    if kind in ("swelling", "coexisting"):
        return 2.0
    return 1.5 if kind in ("lattice", "fading") or series.dose <= 2.0 else 1.25


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
        self._tell("drift z", z, self._z_goal() if judged and not changes else None, z=z)
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
        """Samples of one spot id that belong to one true reflection: (relative error, sigma, sys, bound)."""
        tracks, bounds = {}, {}
        for n in sorted(self.truth):
            true = [r for r in self.truth[n]["reflections"] if r["visible"]]
            part = {domain["name"]: max(1e-3, domain["fraction"]) for domain in self.truth[n]["domains"]}
            for r in true:
                key = (r["domain"], tuple(r["hkl"]))
                if "bound_d_nm" in r:
                    bounds[key] = [r[name] / r["d_nm"] if name in r else math.nan
                                   for name in ("bound_d_nm", "bound_d_lattice_nm")]
            for spot in self.measured[n].get("spots", ()):
                r = self._match(true, spot, part) if spot["confirmed"] else None
                if r is None or (key := (r["domain"], tuple(r["hkl"]))) not in bounds:
                    continue
                tracks.setdefault((key, spot["id"]), []).append(
                    (spot["d_nm"] / r["d_nm"] - 1, (spot["sigma_d_nm"] or math.nan) / r["d_nm"],
                     (spot["sigma_d_sys_nm"] or 0.0) / r["d_nm"], *bounds[key]))
        self._tell_tracks({key: np.array(samples) for key, samples in tracks.items() if len(samples) >= LEAST_SAMPLES})

    def _match(self, true, spot, part):
        """The reflection the spot is, or None; part: of the field, by domain."""
        gate = GATE_BINS / (self.header["pixel_size_nm"] * min(self.header["width"], self.header["height"]))

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

    def _tell_tracks(self, tracks):
        if not tracks:
            # Where two domains share the field, none may be far enough from its like in the other one.
            alone = self.series.specimen not in ("strained", "coexisting")
            self._tell("d: reflections", 0, (operator.ge, 1) if alone and self.series.dose >= 2.0 else None)
            return
        ratios, lattice_ratios, zs, offsets, in_sys = [], [], [], [], []
        judged = self.series.dose >= 2.0
        for ((domain, hkl), spot_id), samples in sorted(tracks.items()):
            relative, sigma, sys, bound, lattice_bound = samples.T
            offset = float(np.median(relative))
            random = relative - offset
            # The median of n has its own error; an offset below three of them is none.
            noise = 1.25 * rms(random) / math.sqrt(len(random))
            ratios.append(random / bound)
            lattice_ratios.append(random / lattice_bound)
            zs.append(random / sigma)
            offsets.append(max(0.0, abs(offset) - 3 * noise))
            in_sys.append(offset / math.hypot(np.median(sys), noise))
            index = "".join(str(i) if i >= 0 else f"-{-i}" for i in hkl)
            self._tell(f"d {domain} {index} #{spot_id}", rms(random) / rms(bound), error=rms(random), bound=rms(bound),
                       z=rms(random / sigma), count=len(random))
            self._tell(f"d {domain} {index} #{spot_id} offset", offset, error=offset, bound=float(np.median(sys)))
        changes = self.series.specimen in ("swelling", "coexisting")
        ratio, z = np.concatenate(ratios), rms(np.concatenate(zs))
        self._tell_ratio("d random", ratio, np.ones(len(ratio)), 1.5 if judged else None)
        against_lattice = np.concatenate(lattice_ratios)
        if np.isfinite(against_lattice).all():
            self._tell("d random over the lattice's bound", rms(against_lattice), count=len(against_lattice))
        self._tell("d z", z, self._z_goal() if judged and not (changes and self.series.has_film) else None, z=z)
        if not self.series.has_film:
            self._tell("d offset, largest", max(offsets), (operator.le, 1e-4) if judged else None)
        elif not changes:
            self._tell("d offset over sigma_d_sys", rms(in_sys), (operator.le, 1.0 * self.slack) if judged else None,
                       count=len(in_sys))


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
