"""A time-stamping authority of the tests' own (RFC 3161): a root, a certificate for time stamps, and its answers."""

import hashlib
from datetime import UTC, datetime, timedelta

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


class Authority:
    """Stamps what it is sent, as of `at`."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self._root_key, self._key = (rsa.generate_private_key(65537, 2048) for _ in range(2))
        self.root = self._certificate("Test Root", "Test Root", self._root_key.public_key(), root=True)
        self._leaf = self._certificate("Test TSA", "Test Root", self._key.public_key(), root=False)

    def pem(self) -> bytes:
        """What an auditor trusts."""
        return self.root.public_bytes(Encoding.PEM)

    def post(self, url: str, body: bytes, kind: str) -> bytes:
        """The answer to a request, as over HTTP."""
        assert kind == "application/timestamp-query"
        request = tsp.TimeStampReq.load(body)
        stamped = tsp.TSTInfo(
            {
                "version": "v1",
                "policy": "1.2.3.4.1",
                "message_imprint": request["message_imprint"],
                "serial_number": 7,
                "gen_time": self.at,
                "nonce": request["nonce"],
            }
        )
        answer: bytes = tsp.TimeStampResp(
            {
                "status": {"status": "granted"},
                "time_stamp_token": {"content_type": "signed_data", "content": self._signed(stamped.dump())},
            }
        ).dump()
        return answer

    def _signed(self, content: bytes) -> cms.SignedData:
        leaf = asn1_x509.Certificate.load(self._leaf.public_bytes(Encoding.DER))
        sha256 = algos.DigestAlgorithm({"algorithm": "sha256"})
        certificate_id = tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(leaf.dump()).digest()})
        attributes = cms.CMSAttributes(
            [
                cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
                cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
                cms.CMSAttribute(
                    {
                        "type": "signing_certificate_v2",
                        "values": [tsp.SigningCertificateV2({"certs": [certificate_id]})],
                    }
                ),
            ]
        )
        signature = self._key.sign(attributes.dump(), PKCS1v15(), hashes.SHA256())
        signer = {"issuer": leaf.issuer, "serial_number": leaf.serial_number}
        return cms.SignedData(
            {
                "version": "v3",
                "digest_algorithms": [sha256],
                "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
                "certificates": [leaf, asn1_x509.Certificate.load(self.root.public_bytes(Encoding.DER))],
                "signer_infos": [
                    {
                        "version": "v1",
                        "sid": cms.SignerIdentifier({"issuer_and_serial_number": signer}),
                        "digest_algorithm": sha256,
                        "signed_attrs": attributes,
                        "signature_algorithm": {"algorithm": "sha256_rsa"},
                        "signature": signature,
                    }
                ],
            }
        )

    def _certificate(self, subject: str, issuer: str, key: rsa.RSAPublicKey, *, root: bool) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime.now(UTC) - timedelta(days=3650))
            .not_valid_after(datetime.now(UTC) + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._root_key.public_key()), critical=False
            )
            .add_extension(x509.KeyUsage(not root, False, False, False, False, root, root, False, False), critical=True)
        )
        if not root:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            made = made.add_extension(usage, critical=True)
        return made.sign(self._root_key, hashes.SHA256())
