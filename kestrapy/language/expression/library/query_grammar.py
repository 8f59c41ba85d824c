"""The grammar of jq, as far as it is known here: no definitions, modules, paths or assignments."""

QUERY_GRAMMAR = r"""
?start: pipe
?pipe: comma
    | comma "|" pipe                              -> pipe
    | postfix AS VARIABLE "|" pipe                -> bound
?comma: either
    | comma "," either                            -> both
?either: any
    | any "//" either                             -> alternative
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
    | VARIABLE                                    -> variable
    | NAME                                        -> call
    | NAME "(" pipe (";" pipe)* ")"               -> call
    | "(" pipe ")"
    | "[" [pipe] "]"                              -> array
    | "{" [entry ("," entry)*] "}"                -> object
    | IF pipe THEN pipe (ELIF pipe THEN pipe)* [ELSE pipe] END -> choice
    | REDUCE postfix AS VARIABLE "(" pipe ";" pipe ")" -> reduced
entry: NAME [":" either]                          -> named_entry
    | STRING [":" either]                         -> text_entry
    | VARIABLE                                    -> variable_entry
    | "(" pipe ")" ":" either                     -> computed_entry

AS.2: /as\b/
OR.2: /or\b/
AND.2: /and\b/
TRY.2: /try\b/
CATCH.2: /catch\b/
IF.2: /if\b/
THEN.2: /then\b/
ELIF.2: /elif\b/
ELSE.2: /else\b/
END.2: /end\b/
REDUCE.2: /reduce\b/
COMPARISON: "==" | "!=" | "<=" | ">=" | "<" | ">"
SIGN: "+" | "-"
FACTOR: "*" | "/" | "%"
FIELD: /\.[A-Za-z_]\w*/
VARIABLE: /\$[A-Za-z_]\w*/
FORMAT: /@[a-z0-9]+/
NAME: /[A-Za-z_]\w*/
NUMBER: /\d+(\.\d+)?([eE][+-]?\d+)?/
STRING: /"(?:[^"\\]|\\.)*"/s

%ignore /\s+/
%ignore /#[^\n]*/
"""
