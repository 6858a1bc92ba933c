// Holds what the playground opens with against the schema at the top of the repository.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { buildSchema, getVariableValues, Kind, parse, validate } from 'graphql';
import { defaultHeaders, examples, placeholder } from '../src/examples.js';

const sdl = readFileSync(new URL('../../schema.graphqls', import.meta.url), 'utf8');
const schema = buildSchema(sdl, { assumeValidSDL: true });

test('the tabs are the first steps of a newcomer, in order', () => {
  const firsts = examples.map(({ query }) => parse(query).definitions[0].selectionSet.selections[0].name.value);
  assert.deepEqual(firsts, ['users', 'createUser', 'logIn', 'createPost', 'postCreated']);
  assert.equal(examples[3].headers, defaultHeaders);
  assert.match(JSON.parse(defaultHeaders).Authorization, new RegExp(`^Bearer ${placeholder}$`));
});

for (const { query, variables } of examples) {
  const document = parse(query);
  const operations = document.definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
  test(`${operations[0].name.value} is valid`, () => {
    assert.deepEqual(validate(schema, document), []);
    assert.equal(operations.length, 1);
    const given = JSON.parse(variables);
    const declared = operations[0].variableDefinitions;
    assert.deepEqual(getVariableValues(schema, declared, given).errors ?? [], []);
    assert.deepEqual(Object.keys(given).sort(), declared.map(({ variable }) => variable.name.value).sort());
  });
  test(`${operations[0].name.value} says what to do`, () => {
    assert.match(query, /^# \S/);
  });
}
