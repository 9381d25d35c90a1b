#!/usr/bin/python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who comes by an address of the lab network reads only if the configuration says so or with the token over TLS, and
controls only with the token over TLS; a listener that could serve nobody is refused at the start, with the reason."""
import socket
import subprocess
import unittest

import grpc

import harness

TOKEN = "a token of 26 characters.."


def network_address():
    """An IPv4 address of this machine that is not loopback; None if it has no other."""
    said = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=True).stdout
    return next((word for word in said.split() if "." in word and not word.startswith("127.")), None)


ADDRESS = network_address()


@unittest.skipIf(ADDRESS is None, "this machine has no address but loopback")
class ControlOffThisMachine(unittest.TestCase):
    def lab(self, **serve):
        lab = harness.Lab(harness.small_scenario(size=64), daemon=False)
        self.enterContext(lab)
        lab.serve = {"listen": f"{ADDRESS}:0", **serve}
        lab.write_configs()
        return lab

    def tls(self, lab, name="server"):
        """A new certificate of this address: the keys of the configuration."""
        certificate, key = lab.folder / f"{name}.crt", lab.folder / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", "/CN=latticed test", "-addext", f"subjectAltName=IP:{ADDRESS}",
                        "-out", certificate, "-keyout", key], check=True, capture_output=True)
        return {"tls_certificate": str(certificate), "tls_key": str(key)}

    def token(self, lab, text=TOKEN):
        file = lab.folder / "token"
        file.write_text(text + "\n")
        return {"token_file": str(file)}

    def trusting(self, lab):
        return grpc.ssl_channel_credentials((lab.folder / "server.crt").read_bytes())

    def serve(self, lab, **more):
        lab.serve.update(more)
        lab.write_configs()
        lab.start_daemon()
        self.assertTrue(lab.network.startswith(f"{ADDRESS}:"))

    def outsider(self, lab, **options):
        return lab.new_client(lab.network, api=lab.client.api, **options)

    def check_refused(self, client, code, reason, *calls):
        for service, method, fields in calls:
            with self.subTest(f"{service}.{method}"):
                refused = client.refused(service, method, **fields)
                self.assertEqual((refused.code.name, refused.reason), (code, reason))

    READING = (("Acquisition", "GetStatus", {}), ("Acquisition", "WatchStatus", {}), ("Acquisition", "ListReferences", {}),
               ("Measurements", "Watch", {}), ("Preview", "Watch", {"kind": "IMAGE_KIND_RAW"}), ("Alerts", "Watch", {}),
               ("Alerts", "List", {}), ("Holder", "List", {}), ("Holder", "Watch", {}), ("Session", "Get", {}),
               ("Track", "Get", {}), ("Recording", "Get", {}))
    CONTROL = (("Acquisition", "Configure", {}), ("Acquisition", "Abort", {}), ("Alerts", "SetRules", {}),
               ("Holder", "Arm", {"who": "Eve"}), ("Holder", "SafeOff", {}), ("Holder", "SetSource", {}),
               ("Session", "Set", {}),
               ("Track", "Reset", {}), ("Recording", "Disable", {}),
               ("Acquisition", "UseReference", {"detector": "camera", "kind": "REFERENCE_KIND_DARK"}))

    # --- with TLS and a token -----------------------------------------------------------------------------

    def test_is_refused_over_tls_without_the_token_and_so_is_reading(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        nobody = self.outsider(lab, credentials=self.trusting(lab))
        self.check_refused(nobody, "PERMISSION_DENIED", "READING_CLOSED", *self.READING)
        self.check_refused(nobody, "UNAUTHENTICATED", "TOKEN_REQUIRED", *self.CONTROL)
        for wrong in ("", TOKEN[:-1], TOKEN + ".", TOKEN.upper(), "x" * 1000):
            guessing = self.outsider(lab, credentials=self.trusting(lab), token=wrong)
            self.check_refused(guessing, "UNAUTHENTICATED", "TOKEN_WRONG", *self.READING[:2], *self.CONTROL[:2])
        self.assertEqual(lab.state(lab.status()), "IDLE", "nothing was done")
        self.assertTrue(lab.client.call("Recording", "Get").recording.wanted)

    def test_is_allowed_over_tls_with_the_token(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        operator = self.outsider(lab, credentials=self.trusting(lab), token=TOKEN)
        measurements = operator.stream("Measurements", "Watch").accepted().gather()
        operator.call("Session", "Set", session={"operator": "Ada"})
        for method in ("Configure", "Arm", "Start"):
            operator.call("Acquisition", method)
        measurements.wait_for(lambda event: event.HasField("measurement"), "a measurement")
        operator.call("Holder", "Arm", holder="holder", who="Ada")
        operator.call("Holder", "SafeOff")
        self.assertEqual(operator.call("Acquisition", "Stop").ended, "stopped")
        self.assertEqual(operator.call("Session", "Get").session.operator, "Ada")
        # Nor does the token excuse from a deadline.
        refused = operator.refused("Acquisition", "Abort", timeout=None)
        self.assertEqual(refused.reason, "DEADLINE_REQUIRED")

    def test_is_not_even_heard_without_tls_where_tls_is_spoken(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        plain = self.outsider(lab, token=TOKEN)
        call = plain._prepare("Acquisition", "Abort", {})[0]
        with self.assertRaises(grpc.RpcError) as failed:
            call(lab.client.api.message("AbortRequest")(), timeout=10, wait_for_ready=False)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_needs_a_certificate_the_client_trusts(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        self.tls(lab, "another")
        other = grpc.ssl_channel_credentials((lab.folder / "another.crt").read_bytes())
        wary = self.outsider(lab, credentials=other, token=TOKEN)
        call = wary._prepare("Acquisition", "GetStatus", {})[0]
        with self.assertRaises(grpc.RpcError) as failed:
            call(lab.client.api.message("GetStatusRequest")(), timeout=10, wait_for_ready=False)
        self.assertEqual(failed.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_needs_neither_from_this_machine(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        lab.start_run()
        lab.wait_for_frames(3)
        self.assertEqual(lab.client.call("Acquisition", "Stop").ended, "stopped")
        self.assertEqual(lab.new_client(token="a wrong one").call("Acquisition", "GetStatus").version,
                         lab.status().version)

    # --- with open reading ----------------------------------------------------------------------------------

    def test_is_refused_without_tls_where_reading_is_open(self):
        lab = self.lab(open_reading=True)
        self.serve(lab, **self.token(lab))
        # The token is no use where anybody could overhear it.
        for outsider in (self.outsider(lab), self.outsider(lab, token=TOKEN)):
            self.check_refused(outsider, "PERMISSION_DENIED", "CONTROL_NEEDS_TLS", *self.CONTROL)
            self.assertTrue(outsider.call("Acquisition", "GetStatus").stamp.rehearsal)
            measurements = outsider.stream("Measurements", "Watch").accepted().gather()
            if lab.state(lab.status()) == "IDLE":
                lab.start_run()
            measurements.wait_for(lambda event: event.HasField("measurement"), "a measurement")
            self.assertEqual(outsider.stream("Preview", "Watch", kind="IMAGE_KIND_RAW").first().width, 64)

    def test_reading_is_open_by_zeromq_where_it_is_by_grpc_and_only_there(self):
        for is_open in (True, False):
            with self.subTest(open_reading=is_open):
                lab = self.lab(open_reading=is_open)
                self.serve(lab, **self.tls(lab), **self.token(lab))
                port = int(lab.zmq.rpartition(":")[2])
                if not is_open:
                    with self.assertRaises(ConnectionRefusedError):
                        socket.create_connection((ADDRESS, port), timeout=10)
                    continue
                lab.zmq = f"tcp://{ADDRESS}:{port}"
                frames = lab.subscriber("frame.camera/").gather()
                lab.start_run()
                frames.wait_for(lambda message: message.header.stamp.rehearsal, "a frame")

    # --- what could serve nobody --------------------------------------------------------------------------------

    def check_start_refused(self, lab, *words):
        status, said = lab.daemon_that_cannot_start()
        self.assertEqual(status, 2, said)
        problems = "\n".join(line for line in said.splitlines() if " error " in line)
        for word in words:
            self.assertIn(word, problems)

    def test_a_listener_that_could_serve_nobody_is_refused(self):
        lab = self.lab()
        tls, token = self.tls(lab), self.token(lab)
        for what in ({}, tls, token):
            with self.subTest(sorted(what)):
                lab.serve = {"listen": f"{ADDRESS}:0", **what}
                lab.write_configs()
                self.check_start_refused(lab, ADDRESS, "serve.open_reading", "serve.tls_certificate", "serve.token_file")

    def test_halves_and_what_does_not_fit_are_refused(self):
        lab = self.lab()
        tls, other, token = self.tls(lab), self.tls(lab, "other"), self.token(lab)
        for what, words in (
                ({"tls_certificate": tls["tls_certificate"], **token}, ("serve.tls_certificate", "serve.tls_key")),
                ({**tls, "tls_key": other["tls_key"], **token}, ("certificate and key do not fit",)),
                ({**tls, "tls_certificate": str(lab.folder / "none.crt"), **token}, ("none.crt", "cannot be read")),
                ({**tls, "token_file": str(lab.folder / "none")}, ("serve.token_file", "cannot be read")),
                ({"listen": "nonsense:port", "open_reading": True}, ("serve.listen", "nonsense:port"))):
            with self.subTest(sorted(what)):
                lab.serve = {"listen": f"{ADDRESS}:0", **what}
                lab.write_configs()
                self.check_start_refused(lab, *words)
        lab.serve = {"listen": f"{ADDRESS}:0", **tls, **self.token(lab, "short")}
        lab.write_configs()
        self.check_start_refused(lab, "serve.token_file", "at least 16")

    def test_the_token_is_not_told(self):
        lab = self.lab()
        self.serve(lab, **self.tls(lab), **self.token(lab))
        self.outsider(lab, credentials=self.trusting(lab), token="wrong" * 5).refused("Acquisition", "Abort")
        lab.start_run()
        lab.wait_for_frames(1)
        lab.client.call("Acquisition", "Stop")
        written = [lab.log("daemon").encode(), *(path.read_bytes() for path in lab.recordings.iterdir())]
        for data in written:
            self.assertNotIn(TOKEN.encode(), data)


if __name__ == "__main__":
    harness.main()
