"""What of each language's syntax tree is a definition and what an import (run inside the desktop).

A pattern captures a definition as a node named by its kind, with its name as `n`; imports are
captured as `i`, and `module` is a Python `from` statement, of which every name is an import.
"""

PYTHON = """
(class_definition name: (identifier) @n) @class
(function_definition name: (identifier) @n) @function
(module (expression_statement (assignment left: (identifier) @n) @constant))
(import_statement name: (dotted_name) @i)
(import_statement name: (aliased_import name: (dotted_name) @i))
(import_from_statement) @module
"""

JAVASCRIPT = """
(class_declaration name: (_) @n) @class
(function_declaration name: (identifier) @n) @function
(generator_function_declaration name: (identifier) @n) @function
(method_definition name: (_) @n) @function
(variable_declarator name: (identifier) @n
    value: [(arrow_function) (function_expression)]) @function
(program (lexical_declaration (variable_declarator name: (identifier) @n) @constant))
(program (export_statement
    (lexical_declaration (variable_declarator name: (identifier) @n) @constant)))
(assignment_expression left: (member_expression property: (property_identifier) @n)
    right: [(arrow_function) (function_expression)]) @function
(pair key: (property_identifier) @n value: [(arrow_function) (function_expression)]) @function
(import_statement source: (string) @i)
(export_statement source: (string) @i)
(call_expression function: [(identifier) (import)] @f arguments: (arguments . (string) @i)
    (#match? @f "^(require|import)$"))
"""

TYPESCRIPT = (
    JAVASCRIPT
    + """
(abstract_class_declaration name: (_) @n) @class
(interface_declaration name: (_) @n) @type
(type_alias_declaration name: (_) @n) @type
(enum_declaration name: (_) @n) @type
(function_signature name: (_) @n) @function
(abstract_method_signature name: (_) @n) @function
"""
)

GO = """
(function_declaration name: (_) @n) @function
(method_declaration name: (_) @n) @function
(type_spec name: (_) @n) @type
(source_file (const_declaration (const_spec name: (_) @n) @constant))
(source_file (var_declaration (var_spec name: (_) @n) @constant))
(import_spec path: (_) @i)
"""

RUST = """
(function_item name: (_) @n) @function
(function_signature_item name: (_) @n) @function
(struct_item name: (_) @n) @type
(enum_item name: (_) @n) @type
(union_item name: (_) @n) @type
(trait_item name: (_) @n) @type
(type_item name: (_) @n) @type
(impl_item type: (type_identifier) @n) @scope
(impl_item type: (generic_type type: (type_identifier) @n)) @scope
(macro_definition name: (_) @n) @function
(const_item name: (_) @n) @constant
(static_item name: (_) @n) @constant
(mod_item name: (_) @n body: (_)) @scope
(mod_item name: (_) @i !body)
(use_declaration argument: (_) @i)
"""

JAVA = """
(class_declaration name: (_) @n) @class
(interface_declaration name: (_) @n) @type
(enum_declaration name: (_) @n) @type
(record_declaration name: (_) @n) @type
(annotation_type_declaration name: (_) @n) @type
(method_declaration name: (_) @n) @function
(constructor_declaration name: (_) @n) @function
(import_declaration (scoped_identifier) @i)
"""

C = """
(function_definition declarator: (function_declarator declarator: (identifier) @n)) @function
(function_definition declarator: (pointer_declarator
    declarator: (function_declarator declarator: (identifier) @n))) @function
(declaration declarator: (function_declarator declarator: (identifier) @n)) @declaration
(declaration declarator: (pointer_declarator
    declarator: (function_declarator declarator: (identifier) @n))) @declaration
(struct_specifier name: (type_identifier) @n body: (_)) @type
(union_specifier name: (type_identifier) @n body: (_)) @type
(enum_specifier name: (type_identifier) @n body: (_)) @type
(type_definition declarator: (type_identifier) @n) @type
(preproc_def name: (_) @n) @constant
(preproc_function_def name: (_) @n) @function
(preproc_include path: (_) @i)
"""

CPP = (
    C
    + """
(function_definition declarator: (function_declarator declarator: (field_identifier) @n)) @function
(function_definition declarator: (function_declarator declarator: (qualified_identifier
    name: (_) @n))) @function
(function_definition declarator: (reference_declarator
    (function_declarator declarator: (_) @n))) @function
(class_specifier name: (type_identifier) @n body: (_)) @class
(alias_declaration name: (type_identifier) @n) @type
"""
)

GRAMMARS = {
    "Python": ("tree_sitter_python", "language", PYTHON),
    "JavaScript": ("tree_sitter_javascript", "language", JAVASCRIPT),
    "TypeScript": ("tree_sitter_typescript", "language_typescript", TYPESCRIPT),
    "TSX": ("tree_sitter_typescript", "language_tsx", TYPESCRIPT),
    "Go": ("tree_sitter_go", "language", GO),
    "Rust": ("tree_sitter_rust", "language", RUST),
    "Java": ("tree_sitter_java", "language", JAVA),
    "C": ("tree_sitter_c", "language", C),
    "C++": ("tree_sitter_cpp", "language", CPP),
}
"""Language: the package with its grammar, the function in it, and the query."""

DEPTHS = {"Python": 6}
"""How deep in a tree definitions are looked for, where it is not 10; what is deeper is local."""

EXTENSIONS = {
    "py": "Python", "pyi": "Python", "js": "JavaScript", "jsx": "JavaScript", "mjs": "JavaScript",
    "cjs": "JavaScript", "ts": "TypeScript", "mts": "TypeScript", "cts": "TypeScript",
    "tsx": "TSX", "go": "Go", "rs": "Rust", "java": "Java", "c": "C", "h": "C", "cc": "C++",
    "cpp": "C++", "cxx": "C++", "hpp": "C++", "hh": "C++", "hxx": "C++", "ipp": "C++",
}  # fmt: skip


def language_of(path: str) -> str:
    """The language of a file by its name, empty for one that is not parsed."""
    return EXTENSIONS.get(path.rpartition("/")[2].rpartition(".")[2], "")
