"""Writes the edXML examples beside this file: made-up documents between real agency codes of Tây Ninh and Hà Nội.

Run it after a change, from the repository's folder: ``python examples/edxml/build_examples.py``.
"""

from __future__ import annotations

import base64
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

HERE = Path(__file__).parent
NAMESPACE = "http://www.mic.gov.vn/TBT/QCVN_102_2016"
LETTERS = "aàảãáạ ăằẳẵắặ âầẩẫấậ eèẻẽéẹ êềểễếệ iìỉĩíị oòỏõóọ ôồổỗốộ ơờởỡớợ uùủũúụ ưừửữứự yỳỷỹýỵ đ bcdghklmnpqrstvx"
"""Every letter of the Vietnamese alphabet, every vowel with every tone."""

PROVINCE = ("000.00.00.H53", "UBND tỉnh Tây Ninh")
DEPARTMENT = ("000.00.02.H53", "Sở Công Thương tỉnh Tây Ninh")
DISTRICT = ("000.00.32.H53", "UBND huyện Châu Thành")
COMMUNE = ("000.21.32.H53", "UBND xã An Bình")
HANOI = ("H26", "UBND thành phố Hà Nội")
Agency = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A file as an attachment; ``zipped`` as the Java SDK does, whatever the content type says."""

    name: str
    content_type: str
    content: bytes
    zipped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A document: what differs between the examples."""

    sender: Agency
    recipients: tuple[Agency, ...]
    number: str
    notation: str
    day: str
    type_row: int
    type_name: str
    subject: str
    signer: tuple[str, str, str]
    urgency: int
    business: str
    files: tuple[Attached, ...]
    replies: str = ""

    @property
    def document_id(self) -> str:
        """The canonical form of QCVN 102."""
        return f"{self.sender[0]},{self.day},{self.number}/{self.notation}"


def pdf(text: str) -> bytes:
    """Return a valid PDF of one page with one line of ASCII text."""
    stream = f"BT /F1 14 Tf 72 770 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources 6 0 R >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        b"<< /Font << /F1 5 0 R >> >>",
    ]
    written, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    end = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, len(written))
    return written + b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1) + table + end


class _Unseekable:
    """Makes zipfile write sizes after the content, as Java's ZipOutputStream does."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, chunk: bytes) -> int:
        self.written += chunk
        return len(chunk)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing is open."""


def zipped(name: str, content: bytes) -> bytes:
    """Return a zip with one entry, as the Java SDK makes it."""
    target = _Unseekable()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 11, 2, 8, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return bytes(target.written)


def escaped(text: str) -> str:
    """Return a text as character data."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def elements(indent: int, *pairs: tuple[str, str]) -> str:
    """Return one line for each prefixed element with text."""
    blanks = " " * indent
    return "\n".join(f"{blanks}<edXML:{name}>{escaped(text)}</edXML:{name}>" for name, text in pairs)


def organization(tag: str, agency: Agency) -> str:
    """Return From or To."""
    code, name = agency
    inner = elements(10, ("OrganId", code), ("OrganizationInCharge", name), ("OrganName", name))
    return f"        <edXML:{tag}>\n{inner}\n        </edXML:{tag}>"


def business(kind: int, reason: str, inside: str = "") -> str:
    """Return Bussiness; kind 0 new, 1 recall, 2 update, 3 replacement."""
    fields = elements(10, ("BussinessDocType", str(kind)), ("BussinessDocReason", reason), ("Paper", "0"))
    staff = elements(12, ("Department", "Văn thư"), ("Staff", "Trần Thị Mẫu"), ("Email", "vanthu@example.gov.vn"))
    return (
        f"        <edXML:Bussiness>\n{inside}{fields}\n"
        f"          <edXML:StaffInfo>\n{staff}\n          </edXML:StaffInfo>\n        </edXML:Bussiness>"
    )


def attachment(position: int, file: Attached) -> tuple[str, str]:
    """Return the manifest's entry and the attachment."""
    content = zipped(file.name, file.content) if file.zipped else file.content
    encoded = base64.encodebytes(content).decode().rstrip("\n")
    told = (
        ("ContentId", f"cid:{position}"),
        ("ContentType", file.content_type),
        ("Description", file.name),
        ("AttachmentName", file.name),
    )
    entry = f"        <edXML:Reference>\n{elements(10, *told)}\n        </edXML:Reference>"
    fields = "\n".join(f"      <{name}>{escaped(text)}</{name}>" for name, text in told)
    body = (
        f"    <Attachment>\n{fields}\n"
        f'      <edXML:ContentTransferEncoded xmlns:edXML="{NAMESPACE}">{encoded}</edXML:ContentTransferEncoded>\n'
        "    </Attachment>"
    )
    return entry, body


def document(example: Example) -> str:
    """Return a document in the order and with the prefixes of the Java SDK."""
    parts = [attachment(at, file) for at, file in enumerate(example.files, start=1)]
    competence, position, name = example.signer
    recipients = "\n".join(organization("To", to) for to in example.recipients)
    places = elements(10, *(("Place", f"- {to[1]}") for to in example.recipients), ("Place", "- Lưu: VT"))
    encoded = "\n".join(body for _, body in parts)
    attachments = f"  <AttachmentEncoded>\n{encoded}\n  </AttachmentEncoded>\n" if parts else ""
    manifest = "\n".join(entry for entry, _ in parts)
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{NAMESPACE}">
  <edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
{organization("From", example.sender)}
{recipients}
{elements(8, ("DocumentId", example.document_id))}
        <edXML:Code>
{elements(10, ("CodeNumber", example.number), ("CodeNotation", example.notation))}
        </edXML:Code>
        <edXML:PromulgationInfo>
{elements(10, ("Place", "Hà Nội" if example.sender is HANOI else "Tây Ninh"), ("PromulgationDate", example.day))}
        </edXML:PromulgationInfo>
        <edXML:DocumentType>
{elements(10, ("Type", "2"), ("TypeDetail", str(example.type_row)), ("TypeName", example.type_name))}
        </edXML:DocumentType>
{elements(8, ("Subject", example.subject), ("Content", example.subject))}
        <edXML:SignerInfo>
{elements(10, ("Competence", competence), ("Position", position), ("FullName", name))}
        </edXML:SignerInfo>
        <edXML:OtherInfo>
{elements(10, ("Priority", str(example.urgency)), ("SphereOfPromulgation", "Liên thông văn bản"), ("PageAmount", "1"))}
        </edXML:OtherInfo>
{example.replies}{elements(8, ("SteeringType", "0"))}
        <edXML:ToPlaces>
{places}
        </edXML:ToPlaces>
      </edXML:MessageHeader>
      <edXML:TraceHeaderList>
        <edXML:TraceHeader>
{elements(10, ("OrganId", example.sender[0]), ("Timestamp", f"{example.day} 08:30:00"))}
        </edXML:TraceHeader>
{example.business}
      </edXML:TraceHeaderList>
    </edXML:edXMLHeader>
    <edXML:edXMLBody>
      <edXML:edXMLManifest version="1.0">
{manifest}
      </edXML:edXMLManifest>
    </edXML:edXMLBody>
  </edXML:edXMLEnvelope>
{attachments}</edXML>
"""


def status(about: Example, sender: Agency, addressee: Agency, code: str, description: str) -> str:
    """Return a status about a document."""
    staff = elements(10, ("Department", "Văn thư"), ("Staff", "Lê Văn Thử"), ("Email", "vanthu2@example.gov.vn"))
    told = elements(8, ("StatusCode", code), ("Description", description), ("Timestamp", f"{about.day} 14:05:09"))
    reply = elements(
        10,
        ("OrganId", addressee[0]),
        ("Code", f"{about.number}/{about.notation}"),
        ("PromulgationDate", about.day),
        ("DocumentId", about.document_id),
    )
    return f"""\
<?xml version="1.0" encoding="UTF-8"?>
<edXML xmlns="{NAMESPACE}">
  <edXML:edXMLEnvelope xmlns:edXML="{NAMESPACE}">
    <edXML:edXMLHeader>
      <edXML:MessageHeader>
        <edXML:ResponseFor>
{reply}
        </edXML:ResponseFor>
{organization("From", sender)}
        <edXML:StaffInfo>
{staff}
        </edXML:StaffInfo>
{told}
      </edXML:MessageHeader>
    </edXML:edXMLHeader>
  </edXML:edXMLEnvelope>
</edXML>
"""


def text(lines: Iterable[str]) -> bytes:
    """Return lines as a text file."""
    return ("\n".join(lines) + "\n").encode()


CHAIRMAN = ("KT. CHỦ TỊCH", "Phó Chủ tịch", "Nguyễn Văn Ví Dụ")
THREE = Example(
    sender=PROVINCE,
    recipients=(DEPARTMENT,),
    number="1207",
    notation="UBND-KT",
    day="2026/11/02",
    type_row=18,
    type_name="Công văn",
    subject="V/v rà soát điện mặt trời mái nhà trên địa bàn tỉnh",
    signer=CHAIRMAN,
    urgency=1,
    business=business(0, "Văn bản điện tử mới"),
    files=(
        Attached(name="1207-UBND-KT.pdf", content_type="application/pdf", content=pdf("1207/UBND-KT")),
        Attached(
            name="Phụ lục 1 - Biểu mẫu.csv",
            content_type="text/csv",
            content=text(["Huyện;Số hộ;Công suất (kWp)", "Châu Thành;120;860", "Tân Châu;95;710"]),
            zipped=True,
        ),
        Attached(
            name="Hướng dẫn.txt",
            content_type="text/plain",
            content=text(["1. Rà soát từng xã.", "2. Điền biểu mẫu.", "3. Gửi trước ngày 20/11/2026."]),
        ),
    ),
)
MANY = Example(
    sender=PROVINCE,
    recipients=(DEPARTMENT, DISTRICT, COMMUNE, HANOI),
    number="15",
    notation="CĐ-UBND",
    day="2026/11/03",
    type_row=19,
    type_name="Công điện",
    subject="Về việc chủ động ứng phó mưa lớn",
    signer=("CHỦ TỊCH", "Chủ tịch", "Phạm Thị Minh Họa"),
    urgency=3,
    business=business(0, "Văn bản điện tử mới"),
    files=(Attached(name="15-CD-UBND.pdf", content_type="application/pdf", content=pdf("15/CD-UBND"), zipped=True),),
)
EVERY_LETTER = Example(
    sender=HANOI,
    recipients=(PROVINCE, COMMUNE),
    number="88",
    notation="TB-ĐƯỜNG",
    day="2026/11/04",
    type_row=7,
    type_name="Thông báo",
    subject=f"Thử đủ dấu: {LETTERS} {LETTERS.upper()}",
    signer=("TL. CHỦ TỊCH", "Chánh Văn phòng", "Đặng Ngữ Pháp"),
    urgency=0,
    business=business(0, "Văn bản điện tử mới"),
    files=(
        Attached(
            name=f"{LETTERS.replace(' ', '')}.txt",
            content_type="text/plain",
            content=text([LETTERS, LETTERS.upper()]),
        ),
    ),
)
RECALL = Example(
    sender=THREE.sender,
    recipients=THREE.recipients,
    number=THREE.number,
    notation=THREE.notation,
    day=THREE.day,
    type_row=THREE.type_row,
    type_name=THREE.type_name,
    subject=THREE.subject,
    signer=CHAIRMAN,
    urgency=1,
    business=business(1, "Thu hồi do gửi nhầm biểu mẫu"),
    files=(),
)
UPDATE = Example(
    sender=PROVINCE,
    recipients=(DEPARTMENT, DISTRICT),
    number=THREE.number,
    notation=THREE.notation,
    day=THREE.day,
    type_row=THREE.type_row,
    type_name=THREE.type_name,
    subject=THREE.subject,
    signer=CHAIRMAN,
    urgency=1,
    business=business(
        2,
        "Bổ sung nơi nhận",
        f"""\
{elements(10, ("DocumentId", THREE.document_id))}
          <edXML:BussinessDocumentInfo>
{elements(12, ("DocumentInfo", "0"), ("DocumentReceiver", "1"))}
            <edXML:ReceiverList>
              <edXML:Receiver>
{elements(16, ("OrganId", DISTRICT[0]), ("ReceiverType", "0"))}
              </edXML:Receiver>
            </edXML:ReceiverList>
          </edXML:BussinessDocumentInfo>
""",
    ),
    files=THREE.files[:1],
)
REPLACEMENT = Example(
    sender=PROVINCE,
    recipients=(DEPARTMENT,),
    number="1215",
    notation="UBND-KT",
    day="2026/11/05",
    type_row=18,
    type_name="Công văn",
    subject="V/v rà soát điện mặt trời mái nhà trên địa bàn tỉnh (thay thế công văn số 1207/UBND-KT)",
    signer=CHAIRMAN,
    urgency=0,
    business=business(
        3,
        "Thay thế do sai biểu mẫu",
        f"""\
          <edXML:ReplacementInfoList>
            <edXML:ReplacementInfo>
{elements(14, ("DocumentId", THREE.document_id))}
              <edXML:OrganIdList>
{elements(16, ("OrganId", DEPARTMENT[0]))}
              </edXML:OrganIdList>
            </edXML:ReplacementInfo>
          </edXML:ReplacementInfoList>
""",
    ),
    files=(Attached(name="1215-UBND-KT.pdf", content_type="application/pdf", content=pdf("1215/UBND-KT")),),
)
ANSWER = Example(
    sender=DISTRICT,
    recipients=(PROVINCE,),
    number="302",
    notation="UBND-VP",
    day="2026/11/06",
    type_row=14,
    type_name="Báo cáo",
    subject="Báo cáo kết quả ứng phó mưa lớn",
    signer=CHAIRMAN,
    urgency=0,
    business=business(0, "Văn bản điện tử mới"),
    files=(
        Attached(
            name="302-UBND-VP.txt",
            content_type="text/plain",
            content=text(["Không có thiệt hại về người.", "Hai tuyến đường bị ngập đã thông xe."]),
        ),
    ),
    replies=f"""\
        <edXML:ResponseFor>
{elements(10, ("OrganId", PROVINCE[0]), ("Code", "15/CĐ-UBND"), ("DocumentId", MANY.document_id))}
        </edXML:ResponseFor>
""",
)


def untidy() -> str:
    """Return another answer as a careless sender and a hub leave it; every oddity was met in the field."""
    one = document(ANSWER).replace(ANSWER.document_id, f"{DISTRICT[0]},2026/11/06,303/UBND-VP")
    hub = "<OrganId>null</OrganId><Timestamp>2026/11/06 08:31:12</Timestamp>"
    changes = (
        ("<?xml", "1212<?xml"),
        (NAMESPACE, "http://www.go.vn/eDoc"),
        ("edXML:", ""),
        ("xmlns:edXML", "xmlns"),
        ("<CodeNumber>302<", "<CodeNumber>303<"),
        ("<OrganName>UBND tỉnh", "<OrganName>UBND\u200b tỉnh"),
        ("<Priority>0<", "<Priority>7<"),
        ("<PromulgationDate>2026/11/06<", "<PromulgationDate>2026/02/30<"),
        ("<ContentType>text/plain<", "<ContentType>application/pdf<"),
        ("      <ContentId>cid:1</ContentId>\n      <C", "      <ContentId>1</ContentId>\n      <C"),
        ("        <TraceHeader>", f"        <TraceHeader>{hub}</TraceHeader>\n        <TraceHeader>"),
        ("        <SteeringType>", "        <ResponseFor/>\n        <SteeringType>"),
    )
    for before, after in changes:
        one = one.replace(before, after)
    return one


def examples() -> dict[str, str]:
    """Return every example by its file name."""
    return {
        "new-three-attachments.edxml": document(THREE),
        "new-one-to-many.edxml": document(MANY),
        "new-every-letter.edxml": document(EVERY_LETTER),
        "new-answer.edxml": document(ANSWER),
        "new-untidy.edxml": untidy(),
        "recall.edxml": document(RECALL),
        "update.edxml": document(UPDATE),
        "replacement.edxml": document(REPLACEMENT),
        "status-02-refused.edxml": status(
            MANY, COMMUNE, PROVINCE, "02", "Từ chối tiếp nhận: tệp không mở được, đề nghị gửi lại"
        ),
        "status-03-registered.edxml": status(
            THREE, DEPARTMENT, PROVINCE, "03", "Tiếp nhận, vào sổ văn bản đến số 2315"
        ),
        "status-13-take-back.edxml": status(THREE, PROVINCE, DEPARTMENT, "13", "Yêu cầu lấy lại do gửi nhầm biểu mẫu"),
    }


def main() -> None:
    """Write the examples beside this file."""
    for name, content in examples().items():
        (HERE / name).write_bytes(content.encode())


if __name__ == "__main__":
    main()
