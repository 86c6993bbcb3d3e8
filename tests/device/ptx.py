"""PTX to C, an instruction a statement: what nvcc compiled runs on this machine.

State spaces are plain memory here: a kernel gets its parameters and the shared memory of its block
as pointers, and local memory is an array of the function. Addresses of shared memory are offsets.
"""

from __future__ import annotations

import re

TYPES = {
    "pred": "int",
    "f32": "float",
    "f64": "double",
    **{f"s{bits}": f"int{bits}_t" for bits in (8, 16, 32, 64)},
    **{f"{kind}{bits}": f"uint{bits}_t" for kind in "ub" for bits in (8, 16, 32, 64)},
}
HEAD = """#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
static inline double as_f64(uint64_t x) { double y; memcpy(&y, &x, 8); return y; }
static inline float as_f32(uint32_t x) { float y; memcpy(&y, &x, 4); return y; }
static inline uint64_t of_f64(double x) { uint64_t y; memcpy(&y, &x, 8); return y; }
static inline uint32_t of_f32(float x) { uint32_t y; memcpy(&y, &x, 4); return y; }
"""
SPECIAL = {"%tid.x": "tid", "%ctaid.x": "ctaid", "%ntid.x": "32u"}
BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "rem": "%"}
BITWISE = {"and": "&", "or": "|", "xor": "^"}
COMPARISONS = {
    "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "lo": "<", "ls": "<=", "hi": ">", "hs": ">=",
}  # fmt: skip
UNORDERED = {"equ": "!=", "neu": "==", "ltu": ">=", "leu": ">", "gtu": "<=", "geu": "<"}


def name(register: str) -> str:
    return register.replace("%", "r_").replace(".", "_").replace("$", "L_")


class Function:
    """A function of PTX, and the C of it."""

    def __init__(self, header: str, body: str, shared: str = "") -> None:
        self.shared = shared
        self.kernel = ".entry" in header
        found = re.search(
            r"\.(?:entry|func)\s+(?:\(([^)]*)\)\s*)?([\w$]+)\s*\((.*)\)", header, re.S
        )
        assert found, header
        results, self.name, parameters = found.groups()
        pattern = r"\.param\s+(?:\.align\s+\d+\s+)?\.\w+\s+([\w$]+)"
        self.parameters = [*re.findall(pattern, results or ""), *re.findall(pattern, parameters)]
        self.types: dict[str, str] = {}
        self.targets: dict[str, list[str]] = {}
        self.lines = [line for part in statements(body) for line in self.translate(part)]

    @property
    def signature(self) -> str:
        arguments = [f"char* {one}" for one in self.parameters]
        if self.kernel:  # parameters of a kernel lie one after another
            arguments = ["char* const* arguments", "char* own", "uint32_t tid", "uint32_t ctaid"]
        return f"void {self.name}({', '.join(arguments)})"

    def c(self) -> str:
        head = []
        if self.kernel:
            head = [f"char* {one} = arguments[{i}];" for i, one in enumerate(self.parameters)]
        return "\n".join([f"{self.signature} {{", *head, *self.lines, "}"])

    def operand(self, text: str, kind: str = "") -> str:
        text = text.strip()
        if text in SPECIAL:
            return SPECIAL[text]
        if text.startswith("%"):
            return name(text)
        if re.fullmatch(r"0[dD][0-9A-Fa-f]{16}", text):
            return f"as_f64(0x{text[2:]}ull)"
        if re.fullmatch(r"0[fF][0-9A-Fa-f]{8}", text):
            return f"as_f32(0x{text[2:]}u)"
        if re.fullmatch(r"-?\d+", text):
            return f"(({TYPES[kind]}){text}ll)" if kind in TYPES and kind != "pred" else text
        return "0" if text == self.shared else f"(uint64_t){name(text)}"

    def address(self, text: str) -> str:
        found = re.fullmatch(r"\[\s*([^\s+\]]+)\s*(?:\+\s*(-?\d+))?\s*\]", text.strip())
        assert found, text
        return f"({self.operand(found[1])} + ({found[2] or 0}))"

    def translate(self, text: str) -> list[str]:
        if found := re.fullmatch(r"([$\w]+):", text):
            return [f"{name(found[1])}:;"]
        if found := re.fullmatch(r"([$\w]+):\s*\.branchtargets\s+(.*)", text, re.S):
            self.targets[found[1]] = [one.strip() for one in found[2].split(",")]
            return []
        if found := re.fullmatch(r"\.reg\s+\.(\w+)\s+(%\w+)<(\d+)>", text):
            kind, stem, count = found.groups()
            for i in range(int(count)):
                self.types[f"{stem}{i}"] = kind
            return [f"{TYPES[kind]} " + ", ".join(f"{name(stem)}{i} = 0" for i in range(int(count)))
                    + ";"]  # fmt: skip
        if found := re.fullmatch(r"\.reg\s+\.(\w+)\s+(%?\w+)", text):
            self.types[found[2]] = found[1]
            return [f"{TYPES[found[1]]} {name(found[2])} = 0;"]
        if found := re.fullmatch(r"\.local\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[(\d+)\]", text):
            return [f"_Alignas(16) char {found[1]}[{found[2]}];"]
        if found := re.fullmatch(r"\.param\s+(?:\.align\s+\d+\s+)?\.\w+\s+(\w+)(\[\d+\])?", text):
            return [f"_Alignas(16) char {found[1]}[{(found[2] or '[8]').strip('[]')}];"]
        if text in "{}":
            return [text]
        if text.startswith((".pragma", ".loc", ".file")):
            return []
        found = re.fullmatch(r"(?:@(!?)(%p\d+)\s+)?([a-z][\w.:]*)\s*(.*)", text, re.S)
        assert found, text
        negated, predicate, operation, rest = found.groups()
        line = self.statement(operation.split("."), rest.strip())
        return [f"if ({negated}{name(predicate)}) {{ {line} }}" if predicate else line]

    def statement(self, op: list[str], rest: str) -> str:
        head, kind = op[0], op[-1]
        if head == "bra":
            return f"goto {name(rest)};"
        if head == "brx":
            index, table = (one.strip() for one in rest.split(","))
            cases = " ".join(
                f"case {i}: goto {name(one)};" for i, one in enumerate(self.targets[table])
            )
            return f"switch ({self.operand(index)}) {{ {cases} }}"
        if head in ("ret", "exit"):
            return "return;"
        if head == "trap":
            return "abort();"
        if head == "call":
            found = re.fullmatch(r"(?:\((\w+)\)\s*,\s*)?([\w$]+)\s*(?:,\s*\((.*)\))?", rest, re.S)
            assert found, rest
            return f"{found[2]}({', '.join(filter(None, (found[1], found[3])))});"
        given = split(rest)
        if head in ("ld", "st"):
            return self.memory(op, kind, given)
        to, *others = given
        x = [self.operand(one, kind) for one in others]
        c = TYPES.get(kind, "")
        if head == "mov" and "{" in rest:
            return self.packed(to, others[0])
        if head == "mov" and kind[0] != "f":
            held = (self.types.get(to, ""), self.types.get(others[0], ""))
            if held[0][:1] == "f" != held[1][:1]:
                return f"{name(to)} = as_{held[0]}({x[0]});"
        return f"{name(to.split('|')[0])} = {self.value(op, kind, c, x, others)};"

    def value(self, op: list[str], kind: str, c: str, x: list[str], given: list[str]) -> str:
        head = op[0]
        if head == "mov":
            return self.bits(kind, given[0], x[0])
        if head == "cvta":
            if "shared" not in op:
                return x[0]
            return f"{x[0]} - (uint64_t)own" if "to" in op else f"(uint64_t)(own + {x[0]})"
        if head == "fma":
            return f"fma{'' if kind == 'f64' else 'f'}({', '.join(x)})"
        if head == "selp":
            return f"{x[2]} ? {x[0]} : {x[1]}"
        if head == "setp":
            return self.comparison(op, c, x)
        if head in ("mul", "mad") and "wide" in op:
            wide = TYPES[kind[0] + str(2 * int(kind[1:]))]
            product = f"(({wide})({c}){x[0]} * ({wide})({c}){x[1]})"
            return product if head == "mul" else f"{product} + {x[2]}"
        if head == "mul" and "hi" in op:
            wide = "__int128" if kind == "s64" else "unsigned __int128"
            if kind.endswith("32"):
                wide = TYPES[kind[0] + "64"]
            return f"({c})((({wide})({c}){x[0]} * ({wide})({c}){x[1]}) >> {kind[1:]})"
        if head == "mad":
            return f"({c})({c}){x[0]} * ({c}){x[1]} + ({c}){x[2]}"
        if head in BINARY:
            if kind[0] == "f":
                assert "rn" in op or head in ("add", "sub"), op
            return f"({c})(({c}){x[0]} {BINARY[head]} ({c}){x[1]})"
        if head in BITWISE:
            return f"({c})(({c}){x[0]} {BITWISE[head]} ({c}){x[1]})"
        if head == "not":
            return f"!{x[0]}" if kind == "pred" else f"({c})~({c}){x[0]}"
        if head == "neg":
            return f"-({c}){x[0]}"
        if head == "abs":
            return (
                f"{'fabs' if kind == 'f64' else 'fabsf'}({x[0]})"
                if kind[0] == "f"
                else (f"({c}){x[0]} < 0 ? -({c}){x[0]} : ({c}){x[0]}")
            )
        if head in ("min", "max"):
            assert kind[0] != "f", op
            first, second = f"({c}){x[0]}", f"({c}){x[1]}"
            return f"{first} {'<' if head == 'min' else '>'} {second} ? {first} : {second}"
        if head in ("shl", "shr"):
            over = f"({c}){x[0]} < 0 ? -1 : 0" if kind[0] == "s" and head == "shr" else "0"
            sign = "<<" if head == "shl" else ">>"
            return (
                f"{x[1]} > {int(kind[1:]) - 1}u ? ({c})({over}) : ({c})(({c}){x[0]} {sign} {x[1]})"
            )
        if head == "cvt":
            to, source = op[-2], TYPES[op[-1]]
            assert "rz" in op or to[0] == "f" or op[-1][0] != "f", op
            return f"({TYPES[to]})({source}){x[0]}"
        if head == "rcp":
            assert "rn" in op, op
            return f"1 / {x[0]}"
        if head == "sqrt":
            return f"{'sqrt' if kind == 'f64' else 'sqrtf'}({x[0]})"
        raise ValueError(f"unknown instruction {'.'.join(op)} {given}")

    def comparison(self, op: list[str], c: str, x: list[str]) -> str:
        which = op[1]
        first, second = f"({c}){x[0]}", f"({c}){x[1]}"
        if which == "nan":
            found = f"({first} != {first} || {second} != {second})"
        elif which == "num":
            found = f"({first} == {first} && {second} == {second})"
        elif which == "neu":
            found = f"!({first} == {second})"
        elif which == "equ":
            found = f"({first} == {second} || {first} != {first} || {second} != {second})"
        elif which in UNORDERED:
            found = f"!({first} {UNORDERED[which]} {second})"
        elif which == "ne" and c in ("float", "double"):
            found = f"({first} < {second} || {first} > {second})"
        else:
            found = f"({first} {COMPARISONS[which]} {second})"
        for word in op[2:-1]:
            if word in BITWISE:
                found = f"({found} {BITWISE[word]} {x[2]})"
        return found

    def bits(self, kind: str, given: str, value: str) -> str:
        """A move of bits between registers of other kinds."""
        source = self.types.get(given.strip(), "")
        if kind in ("b64", "u64") and source == "f64":
            return f"of_f64({value})"
        if kind in ("b32", "u32") and source == "f32":
            return f"of_f32({value})"
        return value

    def packed(self, to: str, source: str) -> str:
        """Move two halves into one register, or one into two."""
        if "{" in to:
            low, high = (name(one.strip()) for one in to.strip("{} ").split("|"))
            value = self.bits("b64", source, self.operand(source))
            return f"{{ uint64_t whole = {value}; {low} = (uint32_t)whole; {high} = whole >> 32; }}"
        low, high = (self.operand(one) for one in source.strip("{} ").split("|"))
        whole = f"((uint64_t)(uint32_t){low} | (uint64_t)(uint32_t){high} << 32)"
        return f"{name(to)} = {f'as_f64({whole})' if self.types[to.strip()] == 'f64' else whole};"

    def memory(self, op: list[str], kind: str, given: list[str]) -> str:
        head, vector = op[0], "v2" in op or "v4" in op
        place, value = (given[1], given[0]) if head == "ld" else (given[0], given[1])
        values = [one.strip() for one in value.strip("{} ").split("|")] if vector else [value]
        c, lines = TYPES[kind], []
        for i, one in enumerate(values):
            base = "own + (uint32_t)" if "shared" in op else ""
            at = f"*({c}*)({base}({self.address(place)} + {i} * sizeof({c})))"
            if head == "st":
                held = self.types.get(one.strip(), "")
                written = self.bits(kind, one, self.operand(one, kind))
                if kind == "f64" and held in ("b64", "u64"):
                    written = f"as_f64({written})"
                lines.append(f"{at} = {written};")
            else:
                held = self.types.get(one.strip(), "")
                read = at
                if kind in ("b64", "u64") and held == "f64":
                    read = f"as_f64({at})"
                if kind in ("b32", "u32") and held == "f32":
                    read = f"as_f32({at})"
                lines.append(f"{name(one.strip())} = {read};")
        return " ".join(lines)


def split(operands: str) -> list[str]:
    grouped = re.sub(r"\{([^}]*)\}", lambda found: "{" + found[1].replace(",", "|") + "}", operands)
    return [one.strip() for one in grouped.split(",")] if grouped.strip() else []


def statements(body: str) -> list[str]:
    """The statements of a body: labels, braces of a call, and what a semicolon ends."""
    found = []
    for line in re.sub(r"//[^\n]*", "", body).split(";"):
        rest = line.strip()
        while label := re.match(r"([$\w]+:)(?!:)\s*(?!\s*\.branchtargets)|([{}])(?=\s|$)", rest):
            if label[2] == "{" and re.match(r"\{\s*%", rest):
                break
            found.append(label[0].strip())
            rest = rest[label.end() :].strip()
        if rest:
            found.append(rest)
    return found


def functions(ptx: str) -> list[Function]:
    """All functions of a module that have a body."""
    ptx = re.sub(r"//[^\n]*", "", ptx)
    shared = re.search(r"\.extern\s+\.shared\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[\]", ptx)
    found, place = [], 0
    pattern = re.compile(
        r"(?:\.visible\s+|\.weak\s+)*\.(?:entry|func)\b[^{;]*?\)[^{;]*(?=[{;])", re.S
    )
    while match := pattern.search(ptx, place):
        place = match.end()
        if ptx[place] == ";":
            continue
        depth, end = 0, place
        while True:
            depth += {"{": 1, "}": -1}.get(ptx[end], 0)
            end += 1
            if depth == 0:
                break
        header = match[0].split(".noreturn")[0]
        found.append(Function(header, ptx[place + 1 : end - 1], shared[1] if shared else ""))
        place = end
    return found


def translate(ptx: str, kernels: str = "") -> tuple[str, str, list[str]]:
    """The C of a module: its head, its functions, and the names of its kernels.

    Of the kernels, those alone whose names a pattern is found in.
    """
    found = [one for one in functions(ptx) if not one.kernel or re.search(kernels, one.name)]
    declared = [f"{one.signature};" for one in found]
    head = "\n".join([HEAD, *declared])
    return head, "\n".join(one.c() for one in found), [one.name for one in found if one.kernel]
