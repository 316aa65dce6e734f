"""A certificate for 127.0.0.1 and the authority that signed it, made anew for each run of the tests."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def make(folder):
    """Writes `authority.pem`, which clients trust, and `server.pem` (key and certificate); returns both paths."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, signer, extensions):
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer, hashes.SHA256())

    def name(text):
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    authority = certificate(name("road"), root, name("road"), root, [(x509.BasicConstraints(True, None), True), (usage, True)])
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    purposes = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    server = certificate(name("127.0.0.1"), own, authority.subject, root, [(x509.BasicConstraints(False, None), True), (addresses, False), (purposes, False)])
    pem = serialization.Encoding.PEM
    (folder / "authority.pem").write_bytes(authority.public_bytes(pem))
    private = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + server.public_bytes(pem))
    return folder / "authority.pem", folder / "server.pem"
