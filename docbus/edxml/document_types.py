"""Rows of the two lists that DocumentType.Type and TypeDetail point into (QCVN 102, first amendment of 2022).

From row 21 on list B is numbered differently from Decree 30/2020 (:mod:`docbus.documents.types`). Rows 10 to 17 and 27
to 32 are those of the 32 types of Decree 09/2010; the amendment itself was not read there.
"""

from __future__ import annotations

_NORMATIVE = (
    "Hiến pháp",
    "Luật",
    "Pháp lệnh",
    "Lệnh",
    "Nghị quyết",
    "Nghị quyết liên tịch",
    "Nghị định",
    "Quyết định",
    "Thông tư",
    "Thông tư liên tịch",
    "Chỉ thị",
    "Bộ luật",
    "Văn bản quy phạm pháp luật của chính quyền địa phương ở đơn vị hành chính - kinh tế đặc biệt",
)
_ADMINISTRATIVE = (
    "Nghị quyết",
    "Quyết định",
    "Chỉ thị",
    "Quy chế",
    "Quy định",
    "Thông cáo",
    "Thông báo",
    "Hướng dẫn",
    "Chương trình",
    "Kế hoạch",
    "Phương án",
    "Đề án",
    "Dự án",
    "Báo cáo",
    "Biên bản",
    "Tờ trình",
    "Hợp đồng",
    "Công văn",
    "Công điện",
    "Bản ghi nhớ",
    "Bản cam kết",
    "Bản thỏa thuận",
    "Giấy chứng nhận",
    "Giấy ủy quyền",
    "Giấy mời",
    "Giấy giới thiệu",
    "Giấy nghỉ phép",
    "Giấy đi đường",
    "Giấy biên nhận hồ sơ",
    "Phiếu gửi",
    "Phiếu chuyển",
    "Thư công",
)
LISTS = {1: _NORMATIVE, 2: _ADMINISTRATIVE}
"""By DocumentType.Type: list A, normative legal documents; list B, administrative ones."""


def type_of_list(type_list: int | None, row: int | None) -> str | None:
    """Return the name at a row, from 1, of a list; None where either is missing, 0 or unknown."""
    rows = LISTS.get(type_list or 0, ())
    return rows[row - 1] if row is not None and 1 <= row <= len(rows) else None
