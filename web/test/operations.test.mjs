// Holds the tabs that the playground opens with against the schema.
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { buildSchema, coerceInputValue, parse, typeFromAST, validate } from 'graphql';
import { tabs } from '../src/operations.js';

const schema = buildSchema(readFileSync(new URL('../../schema.graphqls', import.meta.url), 'utf8'));

for (const tab of tabs) {
  const document = parse(tab.query);
  const [operation] = document.definitions;
  test(operation.name.value, () => {
    assert.deepEqual(validate(schema, document).map((e) => e.message), []);
    const variables = JSON.parse(tab.variables ?? '{}');
    for (const definition of operation.variableDefinitions) {
      const name = definition.variable.name.value;
      coerceInputValue(variables[name], typeFromAST(schema, definition.type));
      delete variables[name];
    }
    assert.deepEqual(variables, {}, 'a variable that the operation does not declare');
    if (tab.headers) assert.ok(JSON.parse(tab.headers).Authorization);
  });
}
