"""The grammar of an expression: one rule per level of precedence, loosest first.

The levels are Pebble's (CoreExtension) with Kestra's ``??``: a unary operator binds tightest, then
the fallbacks, ``~`` and filters, and only then arithmetic. What follows a filter applies to its
result, so that ``a | upper ~ b | trim`` reads from left to right. A new operator is a token in one
level; filters, tests and functions are names that ``syntax.Builder`` looks up, so that they need no
new rule.
"""

GRAMMAR = r"""
?start: choice

?choice: either
    | either "?" choice ":" choice           -> choice
?either: both
    | either OR both                         -> binary
?both: tested
    | both AND tested                        -> binary
?tested: compared
    | tested CONTAINS compared               -> binary
    | tested IS NAME [arguments]             -> test
    | tested IS NOT NAME [arguments]         -> test_not
?compared: sum
    | compared (COMPARISON | IN) sum         -> binary
    | compared NOT IN sum                    -> not_in
?sum: product
    | sum SIGN product                       -> binary
?product: filtered
    | product FACTOR filtered                -> binary
?filtered: fallback
    | piped
    | filtered TILDE fallback                -> binary
?piped: filtered "|" NAME [arguments]        -> filter
    | piped (COALESCE | IF_UNDEFINED) unary  -> fallback
?fallback: unary
    | fallback (COALESCE | IF_UNDEFINED) unary -> fallback
    | fallback RANGE unary                   -> range
?unary: operand
    | (NOT | SIGN) unary                     -> unary
?operand: primary
    | operand "." NAME                       -> attribute
    | operand "." NAME arguments             -> method
    | operand "[" choice "]"                 -> item
?primary: NAME                               -> variable
    | NAME arguments                         -> call
    | "(" choice ")"
    | NUMBER                                 -> number
    | STRING                                 -> string
    | TRUE                                   -> true
    | FALSE                                  -> false
    | NULL                                   -> null
    | "[" [choice ("," choice)*] "]"         -> list_of
    | "{" [entry ("," entry)*] "}"           -> map_of
entry: choice ":" choice
arguments: "(" [argument ("," argument)*] ")"
?argument: choice
    | NAME "=" choice                        -> named

// Words come before NAME; after a dot only NAME can follow, so that `outputs.contains` is a path.
OR.2: /or\b/
AND.2: /and\b/
NOT.2: /not\b/
IS.2: /is\b/
CONTAINS.2: /contains\b/
TRUE.2: /(true|TRUE)\b/
FALSE.2: /(false|FALSE)\b/
NULL.2: /(null|NULL|none|NONE)\b/
COMPARISON.2: /==|!=|<=|>=|<|>|equals\b/
IN.2: /(isIn|isNotIn|in)\b/
SIGN: "+" | "-"
FACTOR: "*" | "/" | "%"
TILDE: "~"
COALESCE.2: /\?\?(?!\?)/
IF_UNDEFINED.2: "???"
RANGE: ".."
NAME: /[^\W\d]\w*/
NUMBER: /\d+([lL]\b|\.\d+)?/
STRING: /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/s

%ignore /\s+/
"""
