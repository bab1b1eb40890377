//! Inline PTX: `asm volatile("instruction" : outputs : inputs : clobbers);` becomes a block of C++ with the same effect.
//!
//! CubeCL writes one instruction per statement, with its operands in the order of the constraints.

/// Replaces every `asm` statement of a text.
///
/// # Errors
///
/// An instruction that has no replacement, or a statement of another form.
pub(crate) fn replace_asm(text: &str) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find_asm(rest) {
        let (before, statement) = rest.split_at(at);
        out.push_str(before);
        let (asm, after) = Asm::parse(statement).ok_or_else(|| format!("an asm statement of unknown form: {}", first_line(statement)))?;
        out.push_str(&asm.to_cpp()?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Where the next `asm` starts as a word of its own that an opening parenthesis follows.
fn find_asm(text: &str) -> Option<usize> {
    text.match_indices("asm").map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + 3..].trim_start();
        let after = after.strip_prefix("volatile").unwrap_or(after).trim_start();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && after.starts_with("(\"")
    })
}

#[derive(Debug, PartialEq)]
struct Asm {
    instruction: String,
    outputs: Vec<String>,
    inputs: Vec<String>,
}

impl Asm {
    /// The statement that `text` starts with, and the text after its semicolon.
    fn parse(text: &str) -> Option<(Self, &str)> {
        let open = text.find('(')?;
        let (template, mut rest) = string_literal(&text[open + 1..])?;
        let mut lists = Vec::new();
        while let Some(list) = rest.trim_start().strip_prefix(':') {
            let (operands, after) = operand_list(list)?;
            lists.push(operands);
            rest = after;
        }
        let after = rest.trim_start().strip_prefix(')')?.trim_start().strip_prefix(';')?;
        let mut lists = lists.into_iter();
        let (outputs, inputs) = (lists.next().unwrap_or_default(), lists.next().unwrap_or_default());
        Some((Self { instruction: template.trim().to_owned(), outputs, inputs }, after))
    }

    fn to_cpp(&self) -> Result<String, String> {
        let name = self.instruction.split_whitespace().next().unwrap_or_default().trim_end_matches(';');
        let words: Vec<&str> = name.split('.').collect();
        let cpp = match words[..] {
            ["mma", "sync", "aligned", shape, "row", "col", d, a, b, c] if c == d => self.mma(shape, a, b),
            ["ldmatrix" | "stmatrix", ..] => self.matrices(&words),
            ["atom", "relaxed", op, .., ty] => self.atomic(op, ty, &words),
            ["cp", "async", "ca" | "cg", ..] => self.copy_async(),
            // Copies are done at once: there is nothing to wait for.
            ["cp", "async", "commit_group" | "wait_group" | "wait_all" | "mbarrier", ..] => Some(String::new()),
            [op @ ("add" | "sub"), "sat", "s32"] => {
                let sign = if op == "add" { '+' } else { '-' };
                self.assign(|x| Some(format!("host::saturated((long long)({}) {sign} (long long)({}))", x.first()?, x.get(1)?)))
            }
            [op @ ("min" | "max"), "NaN", "f32"] => self.assign(|x| Some(format!("host::nan_{op}({}, {})", x.first()?, x.get(1)?))),
            [op, "approx", .., "f32"] => self.assign(|x| Some(format!("{}({})", approximated(op)?, x.first()?))),
            _ => None,
        };
        cpp.ok_or_else(|| format!("the host has no replacement for the PTX instruction `{}`", self.instruction))
    }

    /// The one output gets an expression of the inputs.
    fn assign(&self, expression: impl FnOnce(&[String]) -> Option<String>) -> Option<String> {
        let [output] = &self.outputs[..] else { return None };
        Some(format!("{output} = {};", expression(&self.inputs)?))
    }

    /// `d = a b + c`, with the operands d, a, b, c as vectors of registers.
    fn mma(&self, shape: &str, a: &str, b: &str) -> Option<String> {
        let per_register = |ty| match ty {
            "bf16" => Some(("host::BF16", 2)),
            "f16" => Some(("host::F16", 2)),
            "tf32" => Some(("host::TF32", 1)),
            "s8" => Some(("host::S8", 4)),
            "u8" => Some(("host::U8", 4)),
            _ => None,
        };
        let ((a, packed), (b, _)) = (per_register(a)?, per_register(b)?);
        if shape != format!("m16n8k{}", 8 * packed) || self.outputs.len() != 4 || self.inputs.len() != 10 {
            return None;
        }
        let (registers_a, rest) = self.inputs.split_at(4);
        let (registers_b, registers_c) = rest.split_at(2);
        let out = format!("std::decay_t<decltype({})> host_d[4];", self.outputs[0]);
        let arrays = [("a", registers_a), ("b", registers_b), ("c", registers_c)].map(|(name, x)| array(&format!("host_{name}"), x));
        let call = format!("host::mma_sync<{a}, {b}>(__COUNTER__, host_d, host_a, host_b, host_c);");
        Some(format!("{{ {out} {} {call} {} }}", arrays.concat(), self.spread("host_d")))
    }

    fn matrices(&self, words: &[&str]) -> Option<String> {
        let transposed = words.contains(&"trans");
        if !words.contains(&"m8n8") || words.last() != Some(&"b16") {
            return None;
        }
        if words[0] == "ldmatrix" {
            let (n, address) = (self.outputs.len(), self.inputs.first()?);
            let call = format!("uint32_t host_r[{n}]; host::ldmatrix<{n}, {transposed}>(__COUNTER__, host_r, {address});");
            return Some(format!("{{ {call} {} }}", self.spread("host_r")));
        }
        let (address, values) = self.inputs.split_first()?;
        let call = format!("host::stmatrix<{}, {transposed}>(__COUNTER__, {address}, host_r);", values.len());
        Some(format!("{{ {} {call} }}", array("host_r", values)))
    }

    fn atomic(&self, op: &str, ty: &str, words: &[&str]) -> Option<String> {
        if words.iter().any(|word| ["v2", "v4", "v8"].contains(word)) {
            return None;
        }
        let function = match (op, ty) {
            ("add", "f16") => "host::atomic_add16<host::Half>".to_owned(),
            ("add", "bf16") => "host::atomic_add16<host::Brain>".to_owned(),
            ("add", "f16x2") => "host::atomic_add16x2<host::Half>".to_owned(),
            ("add", "bf16x2") => "host::atomic_add16x2<host::Brain>".to_owned(),
            _ => {
                let ty = match ty {
                    "f32" => "float",
                    "f64" => "double",
                    "u32" => "uint32_t",
                    "s32" => "int32_t",
                    "u64" => "uint64_t",
                    "s64" => "int64_t",
                    _ => return None,
                };
                let function = match op {
                    "add" => "atomicAdd",
                    "min" => "atomicMin",
                    "max" => "atomicMax",
                    _ => return None,
                };
                return self.assign(|x| Some(format!("{function}(({ty}*)({}), {})", x.first()?, x.get(1)?)));
            }
        };
        self.assign(|x| Some(format!("{function}((void*)({}), {})", x.first()?, x.get(1)?)))
    }

    /// `cp.async.cg.shared.global [%0], [%1], size, length;`, where the length may be a register.
    fn copy_async(&self) -> Option<String> {
        let [target, source, rest @ ..] = &self.inputs[..] else { return None };
        let numbers: Vec<&str> = self.instruction.trim_end_matches(';').split(',').skip(2).map(str::trim).collect();
        let size = numbers.first()?;
        let length = match rest {
            [length, ..] => length.as_str(),
            [] => numbers.get(1).copied().unwrap_or(size),
        };
        Some(format!("host::copy_async({target}, {source}, {size}, {length});"))
    }

    /// Copies an array to the outputs.
    fn spread(&self, array: &str) -> String {
        self.outputs.iter().enumerate().map(|(i, output)| format!("{output} = {array}[{i}]; ")).collect()
    }
}

fn array(name: &str, values: &[String]) -> String {
    format!("std::decay_t<decltype({})> const {name}[{}] = {{{}}}; ", values[0], values.len(), values.join(", "))
}

/// The function that an approximate instruction approximates.
fn approximated(op: &str) -> Option<&'static str> {
    Some(match op {
        "ex2" => "exp2f",
        "lg2" => "log2f",
        "tanh" => "tanhf",
        "sin" => "sinf",
        "cos" => "cosf",
        "sqrt" => "sqrtf",
        "rsqrt" => "rsqrt",
        "rcp" => "1.0f / ",
        _ => return None,
    })
}

/// The value of the string literal that `text` starts with, and the text after it.
fn string_literal(text: &str) -> Option<(String, &str)> {
    let text = text.trim_start().strip_prefix('"')?;
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                other => other,
            }),
            _ => value.push(c),
        }
    }
    None
}

/// The expressions of `"=r"(x.i_0), "=r"(x.i_1)`, and the text from the next `:` or `)` on. Clobbers have no expression.
fn operand_list(text: &str) -> Option<(Vec<String>, &str)> {
    let mut operands = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with('"') {
        let (_, after) = string_literal(rest)?;
        rest = after.trim_start();
        if let Some(inner) = rest.strip_prefix('(') {
            let end = closing(inner)?;
            operands.push(inner[..end].to_owned());
            rest = inner[end + 1..].trim_start();
        }
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Some((operands, rest))
}

/// Where the parenthesis closes that was opened before `text`.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_addition_is_a_call() {
        let text = r#"x = [&]{ float result; asm volatile("atom.relaxed.add.f32 %0, [%1], %2;" : "=f"(result) : "l"(p), "f"(v) );return result; }();"#;
        let expected = "x = [&]{ float result; result = atomicAdd((float*)(p), v);return result; }();";
        assert_eq!(replace_asm(text).unwrap(), expected);
    }

    #[test]
    fn a_matrix_product_gathers_its_registers() {
        let text = r#"asm ("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};" : "=f"(r.i_0), "=f"(r.i_1), "=f"(r.i_2), "=f"(r.i_3) : "r"(a.i_0), "r"(a.i_1), "r"(a.i_2), "r"(a.i_3), "r"(b.i_0), "r"(b.i_1), "f"(c.i_0), "f"(c.i_1), "f"(c.i_2), "f"(c.i_3) );"#;
        let cpp = replace_asm(text).unwrap();
        assert!(cpp.contains("host::mma_sync<host::BF16, host::BF16>(__COUNTER__, host_d, host_a, host_b, host_c);"), "{cpp}");
        assert!(cpp.contains("host_b[2] = {b.i_0, b.i_1};") && cpp.contains("r.i_3 = host_d[3];"), "{cpp}");
    }

    #[test]
    fn a_copy_knows_its_size() {
        let text = r#"asm volatile("cp.async.cg.shared::cta.global [%0], [%1], 16, 16;" : : "r"(s), "l"(g) : "memory");"#;
        assert_eq!(replace_asm(text).unwrap(), "host::copy_async(s, g, 16, 16);");
        let text = r#"asm volatile("cp.async.ca.shared::cta.global [%0], [%1], 8, %2;" : : "r"(s), "l"(g), "r"(n) : "memory");"#;
        assert_eq!(replace_asm(text).unwrap(), "host::copy_async(s, g, 8, n);");
    }

    #[test]
    fn an_unknown_instruction_is_named() {
        let error = replace_asm(r#"asm volatile("wgmma.fence.sync.aligned;" : : );"#).unwrap_err();
        assert!(error.contains("wgmma.fence"), "{error}");
    }
}
