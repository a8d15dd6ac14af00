"""Text templates of our own, written to safe-messaging guidance: no methods, no slang, care in every answer."""

from collections.abc import Mapping

TEXT_LANGUAGES = ("en", "es", "fr")

USER_LINES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "I have been feeling low for weeks now.",
        "I barely slept again last night.",
        "Work has been too much lately and I cannot switch off.",
        "I argued with my mother again this morning.",
        "Everything feels heavy and I do not know why.",
        "I do not want to be a burden to my family.",
        "Some evenings I think people would not notice if I was gone.",
        "I used to like running and cooking, now I just lie there.",
        "My friends stopped asking how I am.",
        "I feel numb most of the time.",
        "I do not really want to talk to anyone, but here I am.",
        "It is hard to get out of bed before noon.",
        "I keep going over what I did wrong.",
        "Sometimes I wish I could just not wake up.",
        "School is a lot right now and I am falling behind.",
        "My partner left in the autumn and the flat is so quiet.",
        "I lost my job and I have not told anybody yet.",
        "I am tired of pretending that I am fine.",
        "The nights are the worst part.",
        "I am scared of how I have been feeling.",
        "Thank you for listening, it does help a little.",
        "I have not eaten properly since Sunday.",
        "My chest gets tight when I think about tomorrow.",
        "I miss my grandmother so much.",
        "I do not know what I need, honestly.",
        "Talking about it makes it a bit lighter.",
        "I feel like I am letting everybody down.",
        "The doctor said it would take time, but it has been months.",
    ),
    "es": (
        "Llevo semanas sintiéndome muy mal.",
        "Anoche casi no dormí.",
        "El trabajo me supera y no consigo desconectar.",
        "Discutí otra vez con mi hermana.",
        "No quiero ser una carga para mi familia.",
        "A veces pienso que nadie notaría si yo no estuviera.",
        "Antes me gustaba salir a caminar, ahora no tengo ganas de nada.",
        "Me siento vacío casi todo el día.",
        "Gracias por escucharme, me ayuda un poco.",
        "Las noches son lo peor.",
        "Estoy cansada de fingir que estoy bien.",
        "No sé qué necesito, la verdad.",
        "Perdí mi empleo y no se lo he contado a nadie.",
        "A veces quisiera no despertar.",
    ),
    "fr": (
        "Je me sens très mal depuis des semaines.",
        "Je n'ai presque pas dormi cette nuit.",
        "Le travail me dépasse et je n'arrive pas à décrocher.",
        "Je me suis encore disputé avec mon père.",
        "Je ne veux pas être un poids pour ma famille.",
        "Parfois je pense que personne ne remarquerait mon absence.",
        "Avant j'aimais cuisiner, maintenant je reste au lit.",
        "Je me sens vide presque toute la journée.",
        "Merci de m'écouter, cela m'aide un peu.",
        "Les soirées sont le plus dur.",
        "Je suis fatiguée de faire semblant que tout va bien.",
        "Je ne sais pas de quoi j'ai besoin.",
        "J'ai perdu mon emploi et je ne l'ai dit à personne.",
        "Parfois je voudrais ne pas me réveiller.",
    ),
}

ASSISTANT_LINES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "Thank you for telling me. That sounds really hard.",
        "I am glad that you are here and that you said this out loud.",
        "It makes sense that you feel worn out after so many short nights.",
        "You do not have to carry this on your own.",
        "Would it help to say a little more about what today was like?",
        "Are you having thoughts of ending your life? You can answer honestly, I will not judge you.",
        "Is there one person whom you trust and could call this evening?",
        "Let us take this slowly. What is the next small thing that might help?",
        "Feeling this way does not mean that you have failed.",
        "A slow walk, some water and a message to a friend can be enough for tonight.",
        "I am an AI, so I cannot be with you in person, but I can help you find someone who can.",
        "We can write a short safety plan together, if you like.",
    ),
    "es": (
        "Gracias por contármelo. Suena muy difícil.",
        "Me alegra que estés aquí y que lo digas.",
        "No tienes que cargar con esto a solas.",
        "¿Estás pensando en quitarte la vida? Puedes responder con sinceridad, no te voy a juzgar.",
        "¿Hay alguien de confianza a quien puedas llamar esta tarde?",
        "Vamos despacio. ¿Qué pequeña cosa podría ayudarte ahora?",
        "Sentirte así no significa que hayas fracasado.",
    ),
    "fr": (
        "Merci de me l'avoir dit. Cela semble très difficile.",
        "Je suis content que vous soyez là et que vous en parliez.",
        "Vous n'avez pas à porter cela sans aide.",
        "Pensez-vous à mettre fin à vos jours ? Vous pouvez répondre franchement, je ne vous jugerai pas.",
        "Y a-t-il une personne de confiance que vous pourriez appeler ce soir ?",
        "Allons-y doucement. Quelle petite chose pourrait vous aider maintenant ?",
        "Se sentir ainsi ne veut pas dire que vous avez échoué.",
    ),
}

HELPLINE_OFFERS: Mapping[str, tuple[str, ...]] = {
    "US": (
        "You can call or text 988 at any hour, it is free and confidential.",
        "If typing is easier, text HOME to 741741 to reach a trained counselor.",
        "If you are in danger right now, please call 911.",
        "The Trevor Project answers day and night at 1-866-488-7386.",
    ),
    "CA": ("In Canada you can call or text 988, day or night.", "If you are in danger right now, please call 911."),
    "GB": (
        "You can call Samaritans free on 116 123, day or night.",
        "You can text SHOUT to 85258 and somebody will answer.",
        "If you are under 19, Childline is there on 0800 1111.",
    ),
    "IE": ("You can call Samaritans free on 116 123, day or night.",),
    "AU": ("You can call Lifeline on 13 11 14 at any hour.",),
    "ES": ("Puedes llamar al 024 a cualquier hora, es gratuito y confidencial.",),
    "MX": ("Puedes llamar a la Línea de la Vida, 800 911 2000, a cualquier hora.",),
    "FR": ("Vous pouvez appeler le 3114, gratuit et confidentiel, jour et nuit.",),
    "": ("You can call 988 in the United States or 116 123 in the United Kingdom and Ireland.",),
    "es": ("Puedes llamar o escribir al 988, atienden también en español.",),
    "fr": ("Vous pouvez appeler ou texter le 988, jour et nuit.",),
}

HELPLINE_MENTIONS: Mapping[str, tuple[str, ...]] = {
    "en": (
        "I called 988 last month and they were kind.",
        "A friend told me about 741741 but I was too shy to text.",
        "I have the number 116 123 on a note by my bed.",
        "I hung up on 988 before anyone answered.",
    ),
    "es": ("Una vez llamé al 024 y me trataron bien.", "Tengo el 988 guardado en el móvil."),
    "fr": ("J'ai appelé le 3114 une fois, ils étaient gentils.", "J'ai noté le 3114 près de mon lit."),
}

# Numbers of the lines above and of those that real conversations often name: they must survive the scrub wherever they stand.
HELPLINES = (
    "988", "741741", "911", "116 123", "85258", "0800 1111", "13 11 14", "1-866-488-7386", "024", "3114", "800 911 2000",
)  # fmt: skip
# In text that is not ours, these could be any number.
AMBIGUOUS_HELPLINES = frozenset({"024", "3114", "85258"})

# Some sentences announce what follows, others do not: a scrub must find both.
PII_SENTENCES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": {
        "person_name": (
            "My name is {}.",
            "I am {}, by the way.",
            "You can call me {}.",
            "It was {} who said it first.",
            "{} is my counselor.",
            "My sister {} is asleep next door.",
            "I had coffee with {} on Friday.",
            "My ex, {}, still has my keys.",
            "Signed, {}.",
        ),
        "name_again": (
            "And then {} just left the room.",
            "I wish {} would understand.",
            "{} says that I should rest.",
            "I told {} that I was fine.",
            "It always comes back to {}.",
            "Without {} the house is so quiet.",
        ),
        "email": ("You can write to me at {}.", "My e-mail is {} if that matters.", "I use {} for everything."),
        "phone": (
            "My number is {}.",
            "Call me on {} if you can.",
            "My sister is on {}.",
            "I am reachable at {} after six.",
            "{} is my mother.",
        ),
        "street_address": (
            "I live at {}.",
            "I am at home, {}.",
            "We moved to {} in spring.",
            "Everyone knows the blue door of {}.",
        ),
        "postcode": ("My postcode is {}.", "The area is {} if you need to look something up.", "I am somewhere in {}."),
        "date_of_birth": ("I was born on {}.", "My date of birth is {}.", "My birthday is {} and nobody called."),
        "handle": ("My handle is {} there.", "You may have seen me as {} online.", "They all know me as {}."),
        "school": ("I go to {}.", "It started when I was at {}.", "The other kids from {} avoid me."),
        "workplace": ("I work at {}.", "They let me go from {}.", "Ten years at {} and nobody said goodbye."),
        "ip_address": ("The app says that I log in from {}.", "My address on the network is {}."),
        "url": ("I wrote about it at {}.", "My page is {}.", "The pictures are still on {}."),
        "national_number": ("They asked for my social security number, {}.", "My social is {}."),
        "insurance_number": ("My national insurance number is {}.", "The form wants {} and I cannot face it."),
        "account_number": ("The rent comes out of account {}.", "My account number is {}."),
        "card_number": ("They charged my card {} again.", "My card number is {}.", "The bank blocked {} today."),
        "last_four": ("The card ending in {} was declined.", "The last four digits are {}.", "My pin used to be {}."),
        "license_plate": ("My car is the one with plate {}.", "They towed my car, {}."),
        "passport_number": ("My passport number is {}.", "The passport they kept is {}."),
        "coordinates": ("My phone says that I am at {}.", "The pin shows {}."),
    },
    "es": {
        "person_name": ("Me llamo {}.", "Mi nombre es {}.", "Fue {} quien lo dijo."),
        "name_again": ("Y entonces {} se fue.", "Ojalá {} lo entendiera."),
        "email": ("Mi correo es {}.",),
        "phone": ("Mi número es {}.", "Mi hermana está en el {}."),
        "street_address": ("Vivo en {}.",),
        "postcode": ("Mi código postal es {}.",),
        "date_of_birth": ("Nací el {}.",),
        "handle": ("Mi usuario es {}.",),
        "school": ("Estudio en {}.",),
        "workplace": ("Trabajo en {}.",),
        "ip_address": ("La aplicación dice que entro desde {}.",),
        "url": ("Lo escribí en {}.",),
        "national_number": ("Mi DNI es {}.",),
        "account_number": ("Mi número de cuenta es {}.",),
        "card_number": ("Mi tarjeta es la {}.",),
        "last_four": ("La tarjeta que termina en {} no funciona.",),
        "license_plate": ("Mi coche tiene la matrícula {}.",),
        "passport_number": ("Mi pasaporte es el {}.",),
        "coordinates": ("El teléfono dice que estoy en {}.",),
    },
    "fr": {
        "person_name": ("Je m'appelle {}.", "Mon nom est {}.", "C'est {} qui l'a dit."),
        "name_again": ("Et puis {} est partie.", "J'aimerais que {} comprenne."),
        "email": ("Mon adresse est {}.",),
        "phone": ("Mon numéro est le {}.", "Ma sœur est au {}."),
        "street_address": ("J'habite {}.",),
        "postcode": ("Mon code postal est {}.",),
        "date_of_birth": ("Je suis né le {}.",),
        "handle": ("Mon pseudo est {}.",),
        "school": ("Je suis à {}.",),
        "workplace": ("Je travaille chez {}.",),
        "ip_address": ("L'application dit que je me connecte depuis {}.",),
        "url": ("Je l'ai écrit sur {}.",),
        "national_number": ("Mon numéro de sécurité sociale est {}.",),
        "account_number": ("Mon numéro de compte est {}.",),
        "card_number": ("Ma carte est la {}.",),
        "last_four": ("La carte qui finit par {} est refusée.",),
        "license_plate": ("Ma voiture est immatriculée {}.",),
        "passport_number": ("Mon passeport est le {}.",),
        "coordinates": ("Le téléphone indique {}.",),
    },
}

# With these the assistant repeats a name that the user gave.
ASSISTANT_NAMES: Mapping[str, str] = {"en": "Thank you, {}.", "es": "Gracias, {}.", "fr": "Merci, {}."}

# Sentences with a term that is planted; the answer is the assistant's.
TERM_SENTENCES: Mapping[str, tuple[str, ...]] = {
    "en": (
        "They all call it {} now.",
        "It is the {} again today.",
        "I looked up {} and found nothing.",
        "I saw the word {} everywhere this week.",
        "This week was one big {}.",
    ),
    "es": ("Ahora todos lo llaman {}.", "Hoy fue otra vez lo del {}.", "Vi la palabra {} en todas partes."),
    "fr": ("Aujourd'hui c'est encore {}.", "J'ai cherché {} sans rien trouver.", "J'ai vu le mot {} partout."),
}
TERM_ANSWERS: Mapping[str, str] = {
    "en": "What does {} mean to you?",
    "es": "¿Qué significa {} para ti?",
    "fr": "Que veut dire {} pour vous ?",
}
