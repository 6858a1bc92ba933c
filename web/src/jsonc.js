// A prettier plugin for the variables and headers editors: JSON with comments, laid out by jsonc-parser, which is
// in the bundle anyway. It stands in for prettier's parsers of all of JavaScript.
import { applyEdits, format, parse, printParseErrorCode } from 'jsonc-parser';

export const parsers = {
  jsonc: {
    astFormat: 'laid-out',
    locStart: () => 0,
    locEnd: ({ text }) => text.length,
    parse(text) {
      const errors = [];
      parse(text, errors, { allowTrailingComma: true, allowEmptyContent: true });
      if (errors.length > 0) throw new SyntaxError(printParseErrorCode(errors[0].error));
      return { text: applyEdits(text, format(text, undefined, { insertSpaces: true, tabSize: 2, eol: '\n' })) };
    },
  },
};

export const printers = {
  'laid-out': { print: ({ node }) => node.text },
};
