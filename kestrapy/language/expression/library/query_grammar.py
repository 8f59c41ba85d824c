"""The grammar of jq, without modules, labels and what reads more than the input."""

_PLAIN = r'"(?:[^"\\]|\\.)*+"'
_BRACKETS = rf"\((?:[^()\"]|{_PLAIN})*+\)"
for _ in range(3):
    _BRACKETS = rf"\((?:[^()\"]|{_PLAIN}|{_BRACKETS})*+\)"
_INNER = rf'"(?:[^"\\]|\\{_BRACKETS}|\\.)*+"'
INTERPOLATION = rf"\\\(((?:[^()\"]|{_INNER}|{_BRACKETS})*+)\)"
r"""``\(query)`` within a string; the query may have strings and brackets."""
_STRING = rf'"(?:[^"\\]|{INTERPOLATION.replace("((?:", "(?:(?:", 1)}|\\.)*+"'

QUERY_GRAMMAR = r"""
?start: pipe
?pipe: comma
    | comma "|" pipe                              -> pipe
    | postfix AS pattern "|" pipe                 -> bound
    | DEF NAME [parameters] ":" pipe ";" pipe     -> defined
?comma: either
    | comma "," either                            -> both
?either: assigned
    | assigned "//" either                        -> alternative
?assigned: any
    | any ASSIGN any                              -> assigned
?any: all
    | any OR all                                  -> logical
?all: compared
    | all AND compared                            -> logical
?compared: sum
    | sum COMPARISON sum                          -> binary
?sum: product
    | sum SIGN product                            -> binary
?product: postfix
    | product FACTOR postfix                      -> binary
?postfix: term
    | "-" postfix                                 -> negative
    | TRY postfix [CATCH postfix]                 -> guarded
?term: "."                                        -> identity
    | ".."                                        -> everything
    | FIELD                                       -> field
    | "." STRING                                  -> quoted
    | term FIELD                                  -> field_of
    | term "." STRING                             -> quoted_of
    | term "[" "]"                                -> items_of
    | term "[" pipe "]"                           -> item_of
    | term "[" [pipe] ":" [pipe] "]"              -> slice_of
    | term "?"                                    -> silent
    | NUMBER                                      -> number
    | STRING                                      -> text
    | FORMAT                                      -> encoded
    | FORMAT STRING                               -> encoded_text
    | VARIABLE                                    -> variable
    | NAME                                        -> call
    | NAME "(" pipe (";" pipe)* ")"               -> call
    | "(" pipe ")"
    | "[" [pipe] "]"                              -> array
    | "{" [entry ("," entry)*] "}"                -> object
    | IF pipe THEN pipe (ELIF pipe THEN pipe)* [ELSE pipe] END -> choice
    | REDUCE postfix AS pattern "(" pipe ";" pipe ")" -> reduced
    | FOREACH postfix AS pattern "(" pipe ";" pipe [";" pipe] ")" -> each
entry: NAME [":" either]                          -> named_entry
    | STRING [":" either]                         -> text_entry
    | VARIABLE                                    -> variable_entry
    | "(" pipe ")" ":" either                     -> computed_entry
pattern: VARIABLE                                 -> one_name
    | "[" pattern ("," pattern)* "]"              -> list_of_names
    | "{" named ("," named)* "}"                  -> map_of_names
named: VARIABLE                                   -> own_name
    | NAME ":" pattern                            -> under_name
    | STRING ":" pattern                          -> under_text
    | "(" pipe ")" ":" pattern                    -> under_key
parameters: "(" (NAME | VARIABLE) (";" (NAME | VARIABLE))* ")"

AS.2: /as\b/
OR.2: /or\b/
AND.2: /and\b/
TRY.2: /try\b/
CATCH.2: /catch\b/
DEF.2: /def\b/
IF.2: /if\b/
THEN.2: /then\b/
ELIF.2: /elif\b/
ELSE.2: /else\b/
END.2: /end\b/
REDUCE.2: /reduce\b/
FOREACH.2: /foreach\b/
ASSIGN.3: /\|=|\+=|-=|\*=|\/\/=|\/=|%=|=(?!=)/
COMPARISON: "==" | "!=" | "<=" | ">=" | "<" | ">"
SIGN: "+" | "-"
FACTOR: "*" | /\/(?!\/)/ | "%"
FIELD: /\.[A-Za-z_]\w*/
VARIABLE: /\$[A-Za-z_]\w*/
FORMAT: /@[a-z0-9]+/
NAME: /[A-Za-z_]\w*/
NUMBER: /\d+(\.\d+)?([eE][+-]?\d+)?/
STRING: /%STRING%/s

%ignore /\s+/
%ignore /#[^\n]*/
""".replace("%STRING%", _STRING.replace("/", r"\/"))
